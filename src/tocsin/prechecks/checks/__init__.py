"""One check a file, found by walking this folder: a generator ``Bench -> Finding | NotChecked`` under ``@rule``."""
