"""Thin adapters over the one recorder, a file for each framework."""
