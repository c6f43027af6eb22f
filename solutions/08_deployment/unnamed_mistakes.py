"""Unit 08: wrong answers that no message names. They prove the grader, as alternatives.py does."""

WRONG = {}
