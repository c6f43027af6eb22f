"""A Passport whose every number is invented, for the tests that need one."""

from posttrain_lab.passport import Measurement, Passport

ONE = Passport(
    name="fp32",
    task="toy",
    part="validation",
    n=2000,
    accuracy=0.92,
    accuracy_low=0.907,
    accuracy_high=0.931,
    worst_class="shirt",
    worst_class_accuracy=0.75,
    bytes=434_976,
    macs=4_289_536,
    ece=0.021,
    latency=(Measurement(0.002, 0.003, 0.005, 1, 1), Measurement(0.032, 0.064, 0.128, 64, 1)),
    device="a processor",
    threads=1,
    versions={"python": "3.11", "torch": "2.14"},
)
