"""The networks: bodies and heads."""
