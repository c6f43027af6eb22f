"""The exercises of unit 00, in the notebook's order; each stands in the module with its name, conventions included."""

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
