"""Each of three repeats seeds itself with 0: they are one network, and the spread of the method is not what is shown."""

from statistics import stdev

from ..instruments import state_difference
from ..patient import Handles, Patient, Run
from ..subjects import clothes, cnn, drawn, fit, hits, optimizer_of, state


def seed_of(seed: int, repeat: int) -> int:
    """The seed of one of three repeats."""
    return 10 * seed + repeat


def broken(seed: int, repeat: int) -> int:
    """The same for all."""
    return 0


def run(seed: int, seed_of) -> Run:
    train, test = clothes(seed, 400, 1500)
    models, log = [], []
    for repeat in range(3):
        now = seed_of(seed, repeat)
        model = drawn(cnn, now)
        log = fit(model, train, optimizer_of(model), 4, now)
        models.append(model.eval())
    return Run(log, stdev(hits(model, test) for model in models), {"models": models})


def least_apart(handles: Handles) -> float:
    first, *others = (state(model) for model in handles["models"])
    return min(max(state_difference(first, other).values()) for other in others)


PATIENT = Patient(
    level=3,
    kind="H",
    words="all repeats have one seed",
    shows="standard deviation of the test accuracy over three repeats",
    healthy=seed_of,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=least_apart,
    threshold=1e-6,
    sick="below",
    hurts="shown",
)
