"""Deployment: the student's own integer network in a browser, on a chip, in another runtime, inside a budget."""
