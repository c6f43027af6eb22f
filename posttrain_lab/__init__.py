"""posttrain_lab: what is done to a model after its training, in code that can be read and numbers that can be measured."""

__version__ = "0.1.0"
