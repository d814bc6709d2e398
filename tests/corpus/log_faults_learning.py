"""Faults of optimisation, precision and generalisation, as foreign logs show them."""
