"""Results that one unit passes to the next: one file of passports, and the pruned network beside it.

Both are in the folder above the notebooks, `my-course/passports.json` and `my-course/pruned.safetensors`, so that unit 02 finds the
results of unit 01. Nothing else is saved: a passport has numbers only, and `save_pruned` writes the weights.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from posttrain_lab import measure
from posttrain_lab.data import Split
from posttrain_lab.data.files import FILES, open_file
from posttrain_lab.models import fashion_cnn
from posttrain_lab.passport import FORMAT, Comparison, Passport, passport_fields
from posttrain_lab.pruning import load_pruned, save_pruned
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from posttrain_lab.whole_files import save_whole

PASSPORTS, NETWORK = "passports.json", "pruned.safetensors"
SHIPPED = "fashion_cnn_pruned.safetensors"


def work_folder() -> Path:
    """The folder that all units share: the one above the notebook's own folder, in which its kernel runs."""
    return Path.cwd().parent


def kept_passports(folder: Path | None = None) -> tuple[Passport, ...]:
    """All passports that units have saved, oldest first; none when there is no file yet.

    Raises ValueError, naming the file, for a damaged one.
    """
    path = (folder or work_folder()) / PASSPORTS
    if not path.is_file():
        return ()
    try:
        return tuple(Passport(**passport_fields(one)) for one in json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run the units' last cells again.") from error


def keep_passports(passports: Iterable[Passport], folder: Path | None = None) -> tuple[Passport, ...]:
    """Save passports in the one file; each replaces an older one with its name. Returns all that are in it now.

    Raises OSError when the file cannot be written, ValueError when it is damaged.
    """
    kept = {one.name: one for one in (*kept_passports(folder), *passports)}
    rows = [{"format": FORMAT, **dataclasses.asdict(one)} for one in kept.values()]
    save_whole("keep_passports", (folder or work_folder()) / PASSPORTS, json.dumps(rows, indent=1, allow_nan=False) + "\n")
    return tuple(kept.values())


def keep_network(model: nn.Module, folder: Path | None = None) -> Path:
    """Write the pruned network beside the passports; it replaces an older one."""
    return save_pruned(model, (folder or work_folder()) / NETWORK)


def pruned_network(folder: Path | None = None) -> tuple[nn.Module, str]:
    """The network that unit 01 has saved, or the shipped one when there is none, and a sentence that says which it is.

    The shipped one has half of the work of `fashion_cnn` (posttrain_lab/making/fashion_cnn_pruned.py).
    """
    path = (folder or work_folder()) / NETWORK
    if path.is_file():
        return load_pruned(path, fashion_cnn()), "the network that you pruned in unit 01"
    open_file(FILES / SHIPPED)  # its checksum
    return load_pruned(FILES / SHIPPED, fashion_cnn()), "a pruned network that comes with the course (unit 01 makes your own)"


def prune_then_quantize(split: Split, part: str = "validation", folder: Path | None = None, repeats: int = 10) -> Comparison:
    """Pruning and quantization together: the pruned network in float32 and in 8-bit integers, measured and saved.

    Ranges come from 300 calibration images. Both passports go into the one file.
    """
    network, _ = pruned_network(folder)
    integers = quantize_model(network, split.calibration.first(300), QuantizationConfig(bits=8, mode="integer"))
    both = {"pruned": network, "pruned, int8": integers}
    passports = [measure.passport(one, split, name, part=part, repeats=repeats) for name, one in both.items()]
    keep_passports(passports, folder)
    return measure.compare(passports)
