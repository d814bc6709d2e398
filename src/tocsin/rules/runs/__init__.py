"""Rules about several runs."""
