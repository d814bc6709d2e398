"""W&B's transaction log (``run-<id>.wandb``): framing, messages, and the console text in it."""
