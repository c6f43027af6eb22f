"""The command `posttrain-lab`: `app.py` defines the commands, the other files implement them."""
