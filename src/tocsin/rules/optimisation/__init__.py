"""Faults of gradients and parameter updates."""
