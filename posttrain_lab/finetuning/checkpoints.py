"""Checkpoints: an interrupted run continues with the same result as without the interruption, bit for bit on the CPU.

Weights, optimizer, schedule, the order of the images, torch's random state, the history and the hooks' state are saved after
each epoch, in one file that is written whole or not at all. Left out: continuing in the middle of an epoch.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from posttrain_lab.training import TrainingState

from .files import load_checked, save_checked


def save_checkpoint(path: Path | str, state: TrainingState) -> None:
    """Save a run between two epochs. The previous file stays until the new one is completely written.

    Raises OSError, naming the file and the reason, when it cannot be written.
    """
    content = {
        "config": dataclasses.asdict(state.config),
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "schedule": _plain(state.schedule),
        "generator": state.generator.get_state(),
        "torch": torch.get_rng_state(),
        "history": list(state.history),
        "steps": state.steps,
        "memory": state.memory,
        "finished": state.finished,
    }
    save_checked(Path(path), content, "save_checkpoint")


def _plain(schedule: Any) -> dict[str, Any]:
    """A schedule's numbers; the hooks create its functions again."""
    return {key: value for key, value in schedule.state_dict().items() if isinstance(value, bool | int | float | str | list)}


def load_checkpoint(path: Path | str, state: TrainingState) -> None:
    """Restore a run that `save_checkpoint` saved. Changes `state`, or, when anything is wrong, nothing.

    Raises FileNotFoundError for a missing file; ValueError for a truncated or damaged one, for a run with other settings, or for
    another model.
    """
    content = load_checked(Path(path), "load_checkpoint")
    now = dataclasses.asdict(state.config)
    other = [
        f"{name}={value!r} instead of {now.get(name)!r}" for name, value in content["config"].items() if now.get(name) != value
    ]
    if other:
        raise ValueError(
            f"load_checkpoint wants a run with the settings it began with, but {path} has {', '.join(other)}; take these, or "
            "choose another file for a new run."
        )
    own = {name: tuple(value.shape) for name, value in state.model.state_dict().items()}
    saved = {name: tuple(value.shape) for name, value in content["model"].items()}
    if own != saved:
        wrong = sorted(name for name in own.keys() | saved.keys() if own.get(name) != saved.get(name))
        raise ValueError(f"load_checkpoint wants the model of {path}, got one with other {', '.join(wrong[:3])}.")
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.schedule.load_state_dict(content["schedule"])
    state.generator.set_state(content["generator"])
    torch.set_rng_state(content["torch"])
    state.history[:] = content["history"]
    state.steps = content["steps"]
    state.memory.clear()
    state.memory.update(content["memory"])
    state.finished = content["finished"]


@dataclass(frozen=True)
class Checkpoints:
    """Save after every epoch, and continue from there: `Hooks(before=(keep.resume,), after_epoch=(keep.save,))`.

    Give it as the last of `after_epoch`, so that the decisions of the other hooks are in the file; in `before`, `resume` comes last
    too. The same call of `train` begins a run, or continues it when the file exists. Raises as `load_checkpoint` does.
    """

    path: Path

    def resume(self, state: TrainingState) -> None:
        """Continue from the file, if there is one."""
        if Path(self.path).exists():
            load_checkpoint(self.path, state)

    def save(self, state: TrainingState) -> None:
        """Save the run."""
        save_checkpoint(self.path, state)
