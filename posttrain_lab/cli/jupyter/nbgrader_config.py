"""No settings: nbgrader prints a warning in every terminal where it finds no file of this name."""
