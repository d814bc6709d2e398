"""Faults of the objective, predictions and evaluation, as foreign logs show them."""
