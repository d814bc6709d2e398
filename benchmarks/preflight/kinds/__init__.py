"""Healthy trainings of the kinds that people bring, small, found by walking this folder."""
