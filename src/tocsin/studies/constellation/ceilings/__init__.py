"""What is attainable: bounds, the Bayes oracle, a matched filter, and baselines without training."""
