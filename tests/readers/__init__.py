"""Tests of the readers; a regular package, since the folder of benchmarks has a module of this name."""
