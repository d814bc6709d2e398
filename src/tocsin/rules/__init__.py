"""The rules: one fault, one file, found by walking this folder (``engine.all_rules``)."""
