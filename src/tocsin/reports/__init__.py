"""Renderers: each a pure function from a ``Report`` to text."""
