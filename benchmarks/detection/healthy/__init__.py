"""Healthy runs, plain ones and such as look like a fault; loaded by ``detection.catalogue``."""
