"""Readers of foreign logs: bytes on disk to ``Run``s. Standard library, numpy and PyYAML only; nothing is executed."""
