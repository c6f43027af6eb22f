"""The exercises of unit 00, in the notebook's order; each is in the module of its name, with its conventions."""

from posttrain_lab.checks.start_here.accuracy import accuracy
from posttrain_lab.checks.start_here.latency import latency
from posttrain_lab.checks.start_here.model_bytes import model_bytes
from posttrain_lab.checks.start_here.wilson_interval import wilson_interval

EXERCISES = (
    accuracy,
    wilson_interval,
    model_bytes,
    latency,
)
