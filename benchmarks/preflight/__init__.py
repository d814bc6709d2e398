"""How often preflight is right: each check on its planted fault and beside it, and on many healthy trainings."""
