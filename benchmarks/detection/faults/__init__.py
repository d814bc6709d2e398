"""Real mistakes, each planted in the training code and never in what is logged; loaded by ``detection.catalogue``."""
