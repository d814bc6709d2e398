"""Rules about the life of the run."""
