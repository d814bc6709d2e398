"""Rules on generalisation and ceilings."""
