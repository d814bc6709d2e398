"""Rules on the objective and its terms."""
