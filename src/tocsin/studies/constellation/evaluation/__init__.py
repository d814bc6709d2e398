"""Scores with their intervals, and pictures of them."""
