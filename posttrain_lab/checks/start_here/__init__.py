"""The exercises of unit 00: how good is a network, how sure are we, how large is it, how fast?

Conventions that the notebook states in the same words:
- accuracy: a plain float between 0 and 1; there are no ties between logits in the cases.
- wilson_interval: a pair (low, high) of plain floats; z is an argument.
- model_bytes: parameters and buffers, each number as wide as its dtype; a tensor that two layers share counts once.
- latency: (p20, p50, p80) in seconds of `repeats` measured calls, after `warmup` calls that are not measured. Which of the usual
  definitions of a percentile is used does not matter: the cases have equal durations around each of the three.
"""

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
