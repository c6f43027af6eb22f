"""Verdicts from given medians; the CSV file; the tables; the page."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

from posttrain_lab.benchmark import page, report, roofline
from posttrain_lab.benchmark.rows import Race, races
from posttrain_lab.benchmark.verdicts import verdicts

from .results import MACHINE, PEAKS, everything, made, without

COLUMNS = "op,m,k,n,density,threads,implementation,p20,p50,p80,ratio,ratio_low,ratio_high,device,versions,note"


def lines(results, **wanted):
    return [line for line in verdicts(results) if all(getattr(line, key) == value for key, value in wanted.items())]


def test_csv(tmp_path):
    results = everything()
    report.write_csv(tmp_path / "b.csv", results, MACHINE)
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as file:
        text = list(csv.DictReader(file))
    assert ",".join(text[0]) == COLUMNS
    assert len(text) == sum(len(result.timings) for result in results)
    first = text[0]
    assert (first["op"], first["m"], first["k"], first["n"]) == ("int8_linear", "1", "1024", "1024")
    assert [float(first[name]) for name in ("p20", "p50", "p80")] == [0.0009, 0.001, 0.0011]
    assert [first[name] for name in ("ratio", "ratio_low", "ratio_high")] == ["", "", ""]  # of ours
    assert [text[1][name] for name in ("ratio", "ratio_low", "ratio_high")] == ["2", "2", "2"]
    assert {row["op"] for row in text} == {race.op for race in races(2)}
    assert "posttrain_lab" in {row["implementation"] for row in text}
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_a_missing_peer_is_a_row_without_times():
    result = without(next(one for one in everything() if one.race.op == "sparse_linear"), "scipy_csr")
    row = next(row for row in report.csv_rows([result], MACHINE) if row[6] == "scipy_csr")
    assert row[7:10] == ["", "", ""]
    assert row[15] == "missing: scipy is not installed"


def test_ratios_and_targets():
    found = everything(ours=1e-3, theirs=2e-3)
    assert {line.ratio for line in lines(found, op="int8_conv2d")} == {2.0}
    assert {line.holds for line in lines(found, op="int8_conv2d")} == {"yes"}
    assert {line.holds for line in lines(found, op="int8_matmul")} == {"no"}  # 2x where 50x is asked for
    assert {line.holds for line in lines(found, op="nm_linear")} == {"yes"}
    assert lines(found, target="<= 0.6x bytes")[0].ratio == 0.5625


def test_mean_and_scaling():
    mean, scaling = verdicts(everything())[-2:]
    assert mean.ratio == pytest.approx(2.0)
    assert (mean.target, mean.holds) == (">= 1.05x", "yes")
    assert (scaling.ratio, scaling.holds) == (2.0, "yes")


def test_geometric_mean_of_different_ratios():
    shapes = [race for race in races(1) if race.op == "int8_linear" and not race.extreme]
    ratios = [0.5, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    found = [made(race, {"posttrain_lab": 1.0, "torch_quantized_x86": ratio}) for race, ratio in zip(shapes, ratios, strict=True)]
    mean, scaling = verdicts(found)[-2:]
    assert mean.ratio == pytest.approx(1.0)
    assert mean.holds == "no"
    assert scaling.holds == "-"


def test_without_the_rival_there_is_no_answer():
    found = [without(one, "torch_quantized_x86") for one in everything()]
    assert {line.holds for line in lines(found, op="int8_conv2d")} == {"-"}
    assert verdicts(found)[-2].holds == "-"
    assert "could not be measured" in report.summary(verdicts(found))


def test_a_wrong_result_of_ours_never_holds():
    race = next(race for race in races(1) if race.conv)
    (line,) = verdicts([made(race, {"posttrain_lab": 1e-3, "torch_quantized_x86": 9e-3}, right=False)])[:-2]
    assert line.holds == "no"


def test_a_target_that_would_need_more_than_the_peak_says_so():
    race = next(race for race in races(1) if race.op == "int8_linear" and race.m == 256)
    at_peak = 2 * 256 * 1024 * 1024 / (PEAKS[0].int8 * 1e9)
    lines = {}
    for slower in (1.1, 1.6):  # ours runs at 91 % or 62 % of the peak, the peer is 1.25 times as fast
        times = {"posttrain_lab": slower * at_peak, "torch_quantized_x86": slower * at_peak / 1.25, "torch_fp32": 9.0}
        lines[slower] = verdicts([made(race, times)], PEAKS[0])[0]
    assert lines[1.1].share == pytest.approx(1 / 1.1)
    assert (lines[1.1].holds, lines[1.6].holds) == ("above the peak", "no")
    assert "1 would need more than this machine's measured peak" in report.summary([lines[1.1]])


def test_the_peak_of_int4_is_not_known():
    assert roofline.share_of_peak(Race("int4_linear", 2, 3, 5), 1e-3, PEAKS[0]) is None
    assert roofline.share_of_peak(Race("sparse_linear", 100, 1000, 1000, 0.5), 1e-3, PEAKS[0]) == pytest.approx(1.0)


def test_the_best_peer_is_the_fastest_other():
    race = next(race for race in races(1) if race.op == "int4_linear")
    times = {"posttrain_lab": 3e-3, "posttrain_lab_int8_linear": 1e-3, "torch_fp32": 2e-3}
    line = verdicts([made(race, times)])[0]
    assert (line.best, line.best_seconds) == ("torch_fp32", 2e-3)
    assert line.ratio == pytest.approx(1 / 3)


def test_the_terminal_shows_ratio_target_and_answer():
    console = Console(width=200, record=True, markup=False, highlight=False, file=io.StringIO())
    results = everything()
    report.print_report(results, verdicts(results), MACHINE, console)
    shown = console.export_text()
    assert re.search(r"int8_matmul +1,1024,1024 +1\.00 ms +\S.* 2\.00x +2\.00-2\.00 no", shown)
    every = [report.verdict_cells(line) for line in verdicts(results)]
    wanted = ["int8_matmul", "(1, 1024, 1024)", "1.00 ms", "torch_int_mm", "2.00x (2.00 to 2.00)", ">= 50x", "no"]
    assert any(set(wanted) <= set(cells) for cells in every)
    assert "int8_linear, geometric mean of all, against torch_quantized_x86: 2.00x (target >= 1.05x: yes)." in shown
    assert "Measured peaks on 1 thread: 100 GFLOP/s fp32, 700 GOPS int8, 40 GB/s memory, 200 GB/s cache." in shown
    assert "targets hold" in shown


def test_the_terminal_shows_a_line_a_shape_in_eighty_columns():
    console = Console(width=80, markup=False, highlight=False, file=io.StringIO())
    results = everything(ours=0.123456, theirs=99.0)
    report.print_report(results, verdicts(results), MACHINE, console)
    table = console.file.getvalue().partition(" \u2500")[2].partition("\nint8_linear, geometric")[0].splitlines()[1:]
    rows = [line for line in table if line.strip()]
    assert len(rows) == len([result for result in results if result.race.threads == 1])
    assert all(re.search(r" ms +\S.*x +[0-9.]+-[0-9.]+ +(yes|no|peak)$", row.rstrip()) for row in rows)


def test_one_missing_peer_is_no_reason_for_a_whole_answer():
    race = next(race for race in races(1) if race.op == "int8_linear" and len(race.targets) == 2)
    result = made(race, {"posttrain_lab": 1e-3, "torch_fp32": 2e-3})
    ((*_, holds),) = report.short_rows(verdicts([result])[:-2])
    assert holds == "-"


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (1.5, "1500 ms"), (0.0123, "12.3 ms"), (1.5e-5, "0.015 ms")])
def test_milliseconds(seconds, text):
    assert report.milliseconds(seconds) == text


def test_work_and_bytes_of_a_product_and_a_convolution():
    assert roofline.work_and_bytes(Race("int8_linear", 2, 3, 5), (4, 1, 4)) == (60.0, 24 + 15 + 40)
    conv = next(race for race in races(1) if race.conv)
    work, moved = roofline.work_and_bytes(conv, (1, 1, 4))
    assert work == 2 * 196 * 216 * 48
    assert moved == 14 * 14 * 24 + 216 * 48 + 4 * 196 * 48  # images are read once, not once for each tap


def test_roofline_has_roofs_and_points():
    found = page.roofline(everything(), PEAKS[0])
    names = [trace.name for trace in found.data]
    assert names[:4] == ["int8: 700 GOPS", "fp32: 100 GOPS", "memory: 40 GB/s", "cache: 200 GB/s"]
    assert names[4] == "posttrain_lab"
    ours = found.data[4]
    assert len(ours.x) == sum(race.threads == 1 for race in races(2, quick=True))
    assert ours.y[0] == pytest.approx(2 * 1024 * 1024 / 1e-3 / 1e9)
    assert (found.layout.xaxis.type, found.layout.yaxis.type) == ("log", "log")


def test_the_page_needs_nothing_else(tmp_path):
    results = [without(one, "scipy_csr") for one in everything()]
    page.write_page(tmp_path / "b.html", results, verdicts(results), MACHINE)
    text = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    assert text.count("Plotly.newPlot(") >= 2
    assert json.dumps("Roofline on 1 thread") in text
    assert json.dumps("Roofline on 2 threads") in text
    assert "scipy_csr: missing: scipy is not installed" in text
    assert "a &lt;CPU&gt;" in text
    assert "<td>&gt;= 50x</td>" in text
    assert [path.name for path in tmp_path.iterdir()] == ["b.html"]
