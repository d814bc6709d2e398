"""Faults of the configuration and the life of the run, as foreign logs show them."""
