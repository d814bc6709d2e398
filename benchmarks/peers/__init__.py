"""Peers on the runs of the detection benchmark, each in an environment of its own."""
