"""`posttrain-lab deploy`: write the artefact and its card, print what it costs, open the page."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from posttrain_lab.deployment.deploy import SUFFIXES, TARGETS, deploy
from posttrain_lab.experiments.deployables import deployable


@dataclass(frozen=True)
class Wish:
    """What the command line said: the most bytes of RAM (None: any), on how many images to compare, whether to open the page."""

    budget: int | None = None
    images: int = 1000
    show: bool = False


def run_deploy(model: str, target: str, output: Path | None, wish: Wish) -> None:
    """Write and print. Raises ValueError for a target that is none, or where a page is to be opened and none is written."""
    if target not in TARGETS:
        raise ValueError(f"deploy wants a target of {', '.join(TARGETS)}, got {target!r}.")
    if wish.show and target != "web":
        raise ValueError(f"--open opens a page; {target} is none. Leave it out, or use --to web.")
    path = output or Path(Path(model).stem).with_suffix(SUFFIXES[target])
    made = deployable(model, wish.images)
    print(f"Comparing {len(made.images):,} images; nothing is written before. A large network takes minutes.", flush=True)
    with tqdm(total=len(made.images), desc="comparing", unit="image", leave=False, disable=None) as bar:
        outcome = deploy(made, target, path, wish.budget, lambda done, _: bar.update(done - bar.n))
    table = Table(title=f"{Path(model).stem} for {target}", title_justify="left", show_header=False)
    for row in outcome.rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    console.print(table)
    print("Written: " + ", ".join(str(one) for one in outcome.files))
    if wish.show:
        webbrowser.open(outcome.files[0].resolve().as_uri())
