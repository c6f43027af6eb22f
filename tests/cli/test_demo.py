"""`demo`: the real passports in a table and on a page that needs nothing else."""

import dataclasses
import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from posttrain_lab.cli import demo
from posttrain_lab.data import Split, load_fashion
from posttrain_lab.passport import Passport, compare
from tests.passports import ONE


def made_up(name: str, size: int) -> Passport:
    return dataclasses.replace(ONE, name=name, bytes=size)


def test_page_holds_all_it_needs():
    page = demo.as_page([made_up("fp32", 400_000), made_up("int8", 100_000)])
    assert "400 kB" in page
    assert "100 kB" in page
    assert page.count('class="plotly-graph-div"') == 2
    assert "Plotly.newPlot" in page
    assert not re.search(r'<(script|link)[^>]+(src|href)="https?://', page)


def test_table_shows_every_line_and_bracket():
    console = Console(file=io.StringIO(), width=120, markup=False)
    console.print(demo.as_table(compare([made_up("fp32", 400_000), made_up("int8 [bold]", 100_000)])))
    text = console.file.getvalue()
    assert "int8 [bold]" in text
    assert re.search(r"size +400 kB +100 kB *\n +\(-75.0 %\)", text)
    assert "[p20, p80]" in demo.as_page([made_up("fp32", 400_000)])


def test_five_networks_fit_eighty_columns():
    long = {"worst_class": "T-shirt/top", "device": "A processor with a name that is longer than a column of the table is wide"}
    passports = [dataclasses.replace(made_up(name, 400_000), **long) for name in demo.STEPS]
    console = Console(file=io.StringIO(), width=80, markup=False)
    console.print(demo.as_table(compare(passports)))
    text = console.file.getvalue()
    assert len([line for line in text.splitlines() if all(name in line for name in demo.STEPS)]) == 1
    assert text.count("T-shirt/top") == len(demo.STEPS)  # no cell is broken inside a word
    assert long["device"] not in text
    shared = demo.shared_lines(compare(passports))
    assert sum(line.count(long["device"]) for line in shared) == 1
    assert [line.partition(":")[0] for line in shared] == list(demo.SHARED)


def test_page_in_a_missing_folder_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "demo_passports", lambda split: pytest.fail("measured first"))
    with pytest.raises(FileNotFoundError, match="demo wants a folder that exists for --page, there is no"):
        demo.run_demo(tmp_path / "no" / "page.html")


@pytest.mark.slow
def test_the_chain_is_smaller_as_good_and_honest():
    """On the first 2,000 test images. Recovery wins back what pruning and 4 bits lost, but for 2 points (three standard errors are 1.9)."""
    split = load_fashion()
    small = Split("fashion", split.train, split.calibration, split.validation, split.test.first(2000))
    dense, pruned, quantized, recovered, recalibrated = demo.demo_passports(small)
    assert tuple(one.name for one in (dense, pruned, quantized, recovered, recalibrated)) == demo.STEPS
    assert pruned.macs <= 0.51 * dense.macs
    assert recovered.bytes == quantized.bytes <= 0.08 * dense.bytes
    assert recovered.accuracy >= dense.accuracy - 0.02
    assert recovered.accuracy > quantized.accuracy
    assert recalibrated.accuracy == recovered.accuracy  # dividing logits changes no answer
    assert recalibrated.ece != recovered.ece


def test_the_test_images_are_touched_by_no_step():
    split = load_fashion()
    blind = SimpleNamespace(train=split.train.first(128), calibration=split.calibration, validation=split.validation)
    assert len(list(demo.chain(blind))) == len(demo.STEPS)  # a look at .test would be an AttributeError
