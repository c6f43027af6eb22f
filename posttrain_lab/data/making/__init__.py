"""The scripts that made the shipped data and checkpoints; run them to make these again."""
