"""The shipped network before and after quantization to int8, measured now: a table, and a page with plots that needs no network."""

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from posttrain_lab.data import Split, load_fashion
from posttrain_lab.measure import passport
from posttrain_lab.models import load_pretrained
from posttrain_lab.passport import Comparison, Passport, compare
from posttrain_lab.plots.passports import accuracy_against_bytes, latency_bars
from posttrain_lab.quantization import QuantizationConfig, quantize_model

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>posttrain-lab demo</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #333 }}
table {{ border-collapse: collapse }} td, th {{ padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: left }}</style></head>
<body><h1>One network, before and after int8</h1>
<p>The Fashion-MNIST network that comes with posttrain-lab, in 32-bit floats and as an integer network: 8-bit weights and
activations, no float between the input and the last layer. Every number was measured on this machine when the page was made.</p>
{table}
<h2>Accuracy against size</h2>{size}<p>Each point is a network; the bar is the 95 % interval of its accuracy.</p>
<h2>Time for an image</h2>{time}<p>Each bar is a median; the line goes from the 20th to the 80th percentile.</p>
</body></html>
"""


def demo_passports(split: Split) -> list[Passport]:
    """The float network and its integer version on the test images, with their latency on one thread."""
    steps = tqdm(total=3, desc="demo", unit="step", leave=False, disable=None)
    with steps:
        model = load_pretrained("fashion_cnn")
        steps.set_postfix_str("measuring fp32")
        before = passport(model, split, "fp32", part="test")
        steps.update()
        steps.set_postfix_str("quantizing")
        integer = quantize_model(model, split.calibration, QuantizationConfig(bits=8, mode="integer"))
        steps.update()
        steps.set_postfix_str("measuring int8")
        after = passport(integer, split, "int8", part="test")
        steps.update()
    return [before, after]


def as_table(comparison: Comparison) -> Table:
    """The comparison for a terminal."""
    header, *lines = comparison.grid()
    table = Table(title="The shipped network, measured now", title_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def as_page(passports: list[Passport]) -> str:
    """The comparison as one HTML file that holds all it needs, plotly included."""
    size = accuracy_against_bytes(passports).to_html(full_html=False, include_plotlyjs=True)
    time = latency_bars(passports).to_html(full_html=False, include_plotlyjs=False)
    return PAGE.format(table=compare(passports).html(), size=size, time=time)


def run_demo(page: Path) -> None:
    """Measure, print the table, write the page. Raises OSError when the page cannot be written."""
    if not page.parent.is_dir():
        raise FileNotFoundError(
            f"demo wants a folder that exists for its page, there is no {page.parent}; choose another with --page."
        )
    passports = demo_passports(load_fashion())
    console = Console(markup=False, highlight=False)
    console.print(as_table(compare(passports)))
    partial = page.with_name(page.name + ".partial")
    partial.write_text(as_page(passports), encoding="utf-8")
    os.replace(partial, page)
    console.print(f"With plots: {page} (open it in a browser).")
