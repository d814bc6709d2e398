"""Rules on how the model is evaluated."""
