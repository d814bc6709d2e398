"""Real small training runs with known faults, matched healthy runs, and a count of who noticed what.

Read ``loop.py`` first: it is the one training loop. ``training.py`` is the training code that all tasks share,
``tasks/`` what is particular to each, ``faults/`` and ``healthy/`` what one can do wrong or unusually with it.

To attach another observer, see ``loop.py``.
"""
