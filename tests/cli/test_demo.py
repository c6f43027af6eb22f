"""`demo`: the real passports in a table and on a page that needs nothing else."""

import io
import re

import pytest
from rich.console import Console

from posttrain_lab.cli import demo
from posttrain_lab.data import Split, load_fashion
from posttrain_lab.passport import Measurement, Passport, compare


def made_up(name: str, size: int) -> Passport:
    times = tuple(Measurement(0.001, 0.002, 0.003, batch, 1) for batch in (1, 64))
    where = {"task": "fashion", "part": "test", "n": 10_000, "device": "a CPU", "threads": 1, "versions": {"torch": "2"}}
    quality = {"accuracy": 0.9, "accuracy_low": 0.89, "accuracy_high": 0.91, "worst_class": "shirt", "worst_class_accuracy": 0.7}
    return Passport(name=name, bytes=size, macs=100, ece=0.01, latency=times, **where, **quality)


def test_page_holds_all_it_needs():
    page = demo.as_page([made_up("fp32", 400_000), made_up("int8", 100_000)])
    assert "400 kB" in page
    assert "100 kB" in page
    assert page.count('class="plotly-graph-div"') == 2
    assert "Plotly.newPlot" in page
    assert not re.search(r'<(script|link)[^>]+(src|href)="https?://', page)


def test_table_shows_every_line_and_bracket():
    console = Console(file=io.StringIO(), width=120, markup=False)
    console.print(demo.as_table(compare([made_up("fp32", 400_000), made_up("int8", 100_000)])))
    text = console.file.getvalue()
    assert "[p20, p80]" in text
    assert "100 kB (-75.0 %)" in text


def test_page_in_a_missing_folder_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "demo_passports", lambda split: pytest.fail("measured first"))
    with pytest.raises(FileNotFoundError, match="choose another with --page"):
        demo.run_demo(tmp_path / "no" / "page.html")


@pytest.mark.slow
def test_int8_keeps_the_accuracy_in_a_quarter_of_the_bytes():
    """On the first 2,000 test images: at most 6 of them (0.3 points) fewer are right, in at most 30 % of the bytes."""
    split = load_fashion()
    before, after = demo.demo_passports(
        Split("fashion", split.train, split.calibration, split.validation, split.test.first(2000))
    )
    assert after.accuracy >= before.accuracy - 0.003
    assert after.bytes <= 0.3 * before.bytes
    assert (before.name, after.name) == ("fp32", "int8")
