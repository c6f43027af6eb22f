"""All techniques on the shipped network, measured now: pruned, quantized, recovered, recalibrated. A table, and an offline page."""

from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from tqdm import tqdm

from posttrain_lab.calibration import apply_temperature, fit_temperature
from posttrain_lab.data import Split, load_fashion
from posttrain_lab.measure import passports, predict
from posttrain_lab.models import load_pretrained
from posttrain_lab.passport import Comparison, Passport, compare
from posttrain_lab.plots.passports import accuracy_against_bytes, latency_bars
from posttrain_lab.pruning import WorkBudget, prune_units
from posttrain_lab.quantization import QuantizationConfig, convert_qat, prepare_qat, quantize_model
from posttrain_lab.quantization.qat import QATNetwork
from posttrain_lab.training import TrainingConfig, train
from posttrain_lab.whole_files import check_target, write_whole

CONFIG = QuantizationConfig(bits=4, activation_bits=8, mode="integer")
RECOVERY = TrainingConfig(epochs=3, learning_rate=2e-3, weight_decay=0.0)
SHARED = ("measured on", "machine", "versions")  # of all networks
STEPS = ("dense", "pruned", "quantized", "recovered", "recalibrated")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>posttrain-lab demo</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #333 }}
table {{ border-collapse: collapse }} td, th {{ padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: left }}</style></head>
<body><h1>One network, five passports</h1>
<p>The Fashion-MNIST network that comes with posttrain-lab, step by step:</p>
<ol><li><b>dense</b>: as it was trained, 32-bit floats.</li>
<li><b>pruned</b>: channels removed until half of the multiplications are left; a smaller network, not trained again.</li>
<li><b>quantized</b>: the pruned one as an integer network, 4-bit weights and 8-bit activations.</li>
<li><b>recovered</b>: the same, after {epochs} epochs of quantization-aware training on 7,000 images.</li>
<li><b>recalibrated</b>: its logits divided by a temperature that was fitted on calibration images. The answers stay, the confidences
change: compare the ECE.</li></ol>
<p>Every number was measured on this machine when the page was made, on the 10,000 test images, which no step has used.</p>
{table}
<h2>Accuracy against size</h2>{size}<p>Each point is a network; the bar is the 95 % interval of its accuracy. The line joins the Pareto
front: no other network here is at once smaller and more accurate.</p>
<h2>Time for an image</h2>{time}<p>Each bar is a median; the line goes from the 20th to the 80th percentile.</p>
</body></html>
"""


class Recalibrated(nn.Module):
    """A network whose logits are divided by a temperature: the same answers, other confidences."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, x: Tensor) -> Tensor:
        return apply_temperature(self.network(x), self.temperature)


def chain(split: Split) -> Iterator[nn.Module]:
    """The networks of STEPS, each made from the one before (recovery starts from the pruned floats). `split.test` is not used."""
    dense = load_pretrained("fashion_cnn")
    yield dense
    pruned = prune_units(dense, split.calibration.images[:1], WorkBudget(0.5), "taylor", split.calibration)
    assert isinstance(pruned, nn.Sequential)  # as the dense one
    yield pruned
    yield quantize_model(pruned, split.calibration, CONFIG)
    rounded = prepare_qat(pruned, CONFIG, split.calibration)
    trained, _ = train(rounded, split.train.images, split.train.labels, RECOVERY, progress=False)
    assert isinstance(trained, QATNetwork)  # as `rounded`
    recovered = convert_qat(trained)
    yield recovered
    temperature = fit_temperature(predict(recovered, split.calibration.images), split.calibration.labels)
    yield Recalibrated(recovered, temperature)


def demo_passports(split: Split) -> list[Passport]:
    """The five networks on the test images, with their latency on one thread; they are timed in turn."""
    found, networks = {}, chain(split)
    with tqdm(STEPS, desc="demo", unit="network", leave=False, disable=None) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            found[name] = next(networks)
        bar.set_postfix_str("measuring")
        return passports(found, split, part="test")


def as_table(comparison: Comparison) -> Table:
    """The comparison for a terminal of 80 columns: a column a network, each change below its number; what all share is left out."""
    header, *lines = comparison.grid()
    table = Table(title="The shipped network, measured now", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, overflow="fold")
    for name, *cells in lines:
        if name not in SHARED:
            short = name.replace("work per example", "MACs").replace("batch of ", "ms a batch of ").partition(":")[0]
            table.add_row(short, *map(_narrow, cells))
    return table


def _narrow(cell: str) -> str:
    """A number, and below it the change since the first network, without spread.

    >>> _narrow("0.412 [0.398, 0.431] (-12.0 %)")
    '0.412\\n(-12.0 %)'
    """
    number, _, change = cell.replace(" MACs", "").replace(" points", "").partition(" (")
    return number.partition(" [")[0] + (f"\n({change}" if change else "")


def shared_lines(comparison: Comparison) -> list[str]:
    """What was measured, where and with which versions, once."""
    lines = {name: dict.fromkeys(cells) for name, *cells in comparison.grid()[1:] if name in SHARED}
    return [f"{name}: {'; '.join(found)}" for name, found in lines.items()]


def as_page(passports: list[Passport]) -> str:
    """The comparison as one self-contained HTML file, plotly included."""
    size = accuracy_against_bytes(passports, front=True).to_html(full_html=False, include_plotlyjs=True)
    time = latency_bars(passports).to_html(full_html=False, include_plotlyjs=False)
    return PAGE.format(table=compare(passports).html(), size=size, time=time, epochs=RECOVERY.epochs)


def run_demo(page: Path) -> None:
    """Measure, print the table, write the page. Raises OSError when the page cannot be written, before anything is measured."""
    check_target("demo", page, "--page")
    passports = demo_passports(load_fashion())
    console, comparison = Console(markup=False, highlight=False), compare(passports)
    console.print(as_table(comparison))
    for line in shared_lines(comparison):
        console.print(line)
    write_whole(page, as_page(passports))
    console.print(f"With plots: {page} (open it in a browser).")
