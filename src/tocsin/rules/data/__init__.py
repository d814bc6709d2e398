"""Rules on what goes into the model."""
