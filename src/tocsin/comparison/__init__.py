"""Runs beside each other: which difference their scores show, and whether any setting can be named as its cause.

Runs with the same settings but for their seed are one **arm**. Each arm is held against the first: with two seeds or
more on both sides by Welch's interval of the difference of means, else by the samples of the two evaluations, widened
by the spread between seeds where some arm has it.
"""

from tocsin.comparison.arms import Arm
from tocsin.comparison.beside import Comparison, compare
from tocsin.comparison.contrasts import Contrast

__all__ = ["Arm", "Comparison", "Contrast", "compare"]
