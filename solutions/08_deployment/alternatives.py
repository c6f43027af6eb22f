"""Unit 08: right answers of another shape. They prove the grader; students do not get them."""

ALTERNATIVES = {}
