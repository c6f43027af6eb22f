"""The command `posttrain-lab`: `app.py` names the commands, the other files do the work."""
