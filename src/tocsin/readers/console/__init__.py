"""Console text read by a grammar: lines are cleaned, their shape is studied once, and each line of a shape is read."""
