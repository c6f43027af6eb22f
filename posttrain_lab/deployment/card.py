"""A card for every artefact (Mitchell et al. 2019): what it is for, what was measured, on which data, and its limits.

One `Card` is rendered twice, as Markdown and as a page, from the templates in files/. It has the SHA-256 of each file:
`check_artefact` tells a damaged one.
"""

import hashlib
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from posttrain_lab import __version__
from posttrain_lab.whole_files import save_whole

from .deployable import Deployable

FILES = Path(__file__).parent / "files"
ALWAYS = (
    "The confidences are calibrated for images like those it was measured on; on others they may be high and wrong.",
    "Equal numbers do not make a network right: it makes the mistakes of the network it came from.",
)


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and a table of rows (what, value)."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """A title and its sections, in order."""

    title: str
    sections: tuple[Section, ...]


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card_of(made: Deployable, target: str, files: Sequence[Path], rows: Sequence[tuple[str, str]]) -> Card:
    """The card of files that were written. rows: what was measured on them, just now."""
    program = made.program
    shape = " x ".join(map(str, program.input_shape))
    about = [("input", f"{shape}, 8-bit codes"), ("output", f"{program.result.count} classes"), ("target", target)]
    contract = [(name, str(value)) for name, value in asdict(program.contract).items()] if program.contract else []
    versions = [("posttrain_lab", __version__), ("torch", str(torch.__version__)), ("python", platform.python_version())]
    promise = "What a photo must be made into before the network sees it." if contract else "Not known: the program has none."
    return Card(
        made.name,
        (
            Section("What it is", ("A network in 8-bit integers, made for one target.",), tuple(about)),
            Section("What it is for", (made.about.use,)),
            Section("Data", (made.about.data,)),
            Section("Measured", ("On the files below, just before they were written.",), tuple(rows)),
            Section("Contract with the camera", (promise,), tuple(contract)),
            Section("Limits", (*made.about.limits, *ALWAYS)),
            Section("SHA-256 of the files", (), tuple((file.name, sha256(file)) for file in files)),
            Section("Made with", (), tuple(versions)),
        ),
    )


def write_card(card: Card, path: Path) -> tuple[Path, Path]:
    """Write path.card.md and path.card.html; returns both."""
    written = []
    for kind in ("md", "html"):
        environment = Environment(
            loader=FileSystemLoader(FILES),
            autoescape=kind == "html",
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        target = path.with_name(f"{path.name}.card.{kind}")
        environment.filters["cell"] = lambda text: text.replace("|", "\\|").replace("\n", " ")
        save_whole("write_card", target, environment.get_template(f"card.{kind}").render(card=card).strip() + "\n")
        written.append(target)
    return written[0], written[1]


def check_artefact(path: str | Path) -> None:
    """Is the file, with the header that belongs to it, still what its card says?

    Raises FileNotFoundError without the file or its card, ValueError for a file whose SHA-256 is not the card's.
    """
    path = Path(path)
    card = path.with_name(f"{path.name}.card.md")
    for one in (path, card):
        if not one.is_file():
            raise FileNotFoundError(
                f"check_artefact finds no {one}; an artefact and its card are written by posttrain-lab deploy."
            )
    known = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) \|$", card.read_text(encoding="utf-8"), re.MULTILINE))
    if path.name not in known:
        raise ValueError(f"{card} has no SHA-256 of {path.name}; it belongs to another file, or was cut short.")
    for name, digest in known.items():
        file = path.with_name(name)
        if not file.is_file() or sha256(file) != digest:
            raise ValueError(f"{file} is damaged, or not the one that {card.name} describes; copy or make it again.")
