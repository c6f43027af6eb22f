"""The exercises of unit 08, in the notebook's order; each stands in the module with its name."""

EXERCISES = ()
