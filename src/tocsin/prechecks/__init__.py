"""Checks made before a run: one a file in ``checks``, and a rehearsal that the rules judge."""
