"""TensorBoard event files: records, events, batches of like events, what they say of the configuration."""
