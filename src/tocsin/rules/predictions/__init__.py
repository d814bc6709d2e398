"""Rules on what the model predicts."""
