"""How the shipped data and checkpoints were made: run these to make them again."""
