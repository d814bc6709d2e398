"""The planted faults and their nearest healthy neighbours: those of the tests, drawn anew for each seed."""
