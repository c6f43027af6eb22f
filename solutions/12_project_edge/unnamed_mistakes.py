"""Project 12: wrong answers that no message names. They prove the grader, as alternatives.py does."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def changed(after):
    """A right answer with another result."""
    return lambda layers: after(layers, *right.costs_by_recursion(layers))


def channels(layers):
    return sum(layer.get("out", 0) for layer in layers)


def takes_the_layers_away(layers):
    found = right.costs_by_recursion(list(layers))
    layers.clear()
    return found


def writes_into_the_graph(layers):
    for layer in layers:
        layer.setdefault("groups", 1)
    return right.costs_by_recursion(layers)


def remembers(layers, known=[]):  # noqa: B006 (the mistake)
    known.append(right.costs_by_recursion(layers))
    return known[0]


def last_of_equal_operators(layers):
    return right.costs_by_recursion(layers) if len(layers) < 9 else (0, 0, 0)


WRONG = {
    "costs": (
        lambda layers: (0, 0, 0),
        lambda layers: (11_480, 2_352, 149_408),
        changed(lambda layers, flash, ram, macs: (flash + channels(layers), ram, macs)),  # 9 bytes a channel
        changed(lambda layers, flash, ram, macs: (flash + 5 * len(layers), ram, macs)),
        changed(lambda layers, flash, ram, macs: (flash, ram + 30, macs)),  # logits of 4 bytes
        changed(lambda layers, flash, ram, macs: (flash, ram - 784 if ram > 1568 else ram, macs)),
        changed(lambda layers, flash, ram, macs: (flash, ram, macs + channels(layers))),  # the bias is added too
        changed(lambda layers, flash, ram, macs: (flash // 4 * 4, ram, macs)),
        changed(lambda layers, flash, ram, macs: (flash, -(-ram // 4) * 4, macs)),
        changed(lambda layers, flash, ram, macs: (flash, ram, macs / 1e6)),
        changed(lambda layers, flash, ram, macs: {"flash": flash, "ram": ram, "macs": macs}),
        changed(lambda layers, flash, ram, macs: (str(flash), str(ram), str(macs))),
        changed(lambda layers, flash, ram, macs: (flash, ram)),
        takes_the_layers_away,
        writes_into_the_graph,
        remembers,
        last_of_equal_operators,
    )
}
