"""measure.py and passport.py: an invented clock, a model whose answers are known, files that are damaged."""

import dataclasses
import html.parser
import json
import math
import os
import platform

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import posttrain_lab
from posttrain_lab import measure
from posttrain_lab.data import Dataset, Split
from posttrain_lab.measure import (
    Comparison,
    Measurement,
    Passport,
    compare,
    latencies,
    latency,
    passport,
    passports,
    predict,
    using_threads,
)
from posttrain_lab.metrics import accuracy, macs, model_bytes, wilson_interval
from posttrain_lab.passport import short
from tests.passports import ONE

FASTER = Measurement(p20=0.001, p50=0.0015, p80=0.002, batch=1, threads=1)
TWO = dataclasses.replace(ONE, name="int8", accuracy=0.918, bytes=108_744, ece=0.026, latency=(FASTER, ONE.latency[1]), macs=0)


class Clock:
    """Seconds that pass only inside the calls: the i-th call takes times[i]."""

    def __init__(self, times: list[float]):
        self.now, self.times, self.calls = 0.0, times, 0

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += self.times[self.calls]
        self.calls += 1


@settings(max_examples=50, deadline=None, derandomize=True)
@given(times=st.lists(st.integers(0, 1000), min_size=1, max_size=60), warmup=st.integers(0, 3))
def test_latency_is_numpys_inverted_cdf_percentile_without_the_warm_up(times, warmup):
    clock = Clock([10_000.0] * warmup + [float(t) for t in times])
    found = latency(clock.work, repeats=len(times), warmup=warmup, clock=clock)
    assert clock.calls == warmup + len(times)
    assert list(found) == np.percentile(times, [20, 50, 80], method="inverted_cdf").tolist()


def test_functions_take_turns_and_each_begins_a_round():
    calls, ticks = [], iter(float(i * i) for i in range(12))
    found = latencies({name: lambda name=name: calls.append(name) for name in "abc"}, 2, warmup=0, clock=lambda: next(ticks))
    assert calls == [*"abc", *"aabbcc", *"bbccaa"]  # once to warm up; then twice each, timed the second time
    assert found == {"a": (1.0, 1.0, 21.0), "b": (5.0, 5.0, 13.0), "c": (9.0, 9.0, 17.0)}
    assert latencies({}) == {}


def test_one_function_of_several_is_refused_as_alone():
    with pytest.raises(TypeError, match="latency wants fn to be a function"):
        latencies({"a": print, "b": 3})
    with pytest.raises(ValueError, match="latencies wants repeats"):
        latencies({"a": print}, 0)


def test_latency_uses_the_real_clock_unless_told():
    calls = []
    p20, p50, p80 = latency(lambda: calls.append(1), repeats=7, warmup=2)
    assert len(calls) == 9
    assert 0 <= p20 <= p50 <= p80


def test_latency_lets_an_error_of_the_function_through():
    with pytest.raises(ZeroDivisionError):
        latency(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("fn", "repeats", "warmup", "error", "message"),
    [
        (3.0, 5, 0, TypeError, "a function without arguments, got float"),
        (int, 0, 0, ValueError, "repeats to be a whole number >= 1, got 0"),
        (int, 5, -1, ValueError, "warmup to be a whole number >= 0, got -1"),
        (int, 2.5, 0, TypeError, r"repeats to be a whole number >= 1, got 2\.5"),
        (int, True, 0, TypeError, "repeats to be a whole number >= 1, got True"),
    ],
)
def test_latency_refuses(fn, repeats, warmup, error, message):
    with pytest.raises(error, match=f"^latency wants .*{message}"):
        latency(fn, repeats, warmup)


def test_using_threads_sets_and_restores_even_after_an_error():
    before = torch.get_num_threads()

    def fail():
        with using_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise RuntimeError("planned")

    with pytest.raises(RuntimeError, match="planned"):
        fail()
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match=r"^using_threads wants threads to be a whole number >= 1, got 0"), using_threads(0):
        pass


class FromPixels(nn.Module):
    """The logits are the pixels, so that the test chooses them; dropout would change them in train mode."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.9)
        self.linear = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.linear.weight)
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        return self.linear(self.dropout(x.flatten(1)))


def toy_split(n: int = 12) -> Split:
    """Three classes; class c is right with probability 0.6 unless every fourth example, which is wrong."""
    labels = torch.arange(n) % 3
    said = torch.where(torch.arange(n) % 4 == 3, (labels + 1) % 3, labels)
    probabilities = torch.full((n, 3), 0.2).scatter(1, said[:, None], 0.6)
    data = Dataset(probabilities.log().reshape(n, 1, 1, 3), labels, ("a", "b", "c"))
    return Split("toy", data, data, data, data.first(9))


def test_predict_gives_the_logits_in_eval_mode_and_in_batches():
    model, images = FromPixels().train(), toy_split().validation.images
    logits = predict(model, images, batch_size=5)
    assert model.batches == [5, 5, 2]
    assert torch.equal(logits, images.flatten(1))
    assert not logits.requires_grad
    assert model.training
    assert model.dropout.training


@pytest.mark.parametrize(
    ("model", "images", "batch_size", "error", "message"),
    [
        (lambda x: x, torch.zeros(1, 3), 5, TypeError, "an nn.Module, got function"),
        (nn.Identity(), [[1.0]], 5, TypeError, "a Tensor, got list"),
        (nn.Identity(), torch.zeros(2, 3, dtype=torch.uint8), 5, TypeError, "float images in .*, got torch.uint8"),
        (nn.Identity(), torch.zeros(0, 3), 5, ValueError, r"n >= 1, got shape \[0, 3\]"),
        (nn.Identity(), torch.tensor(1.0), 5, ValueError, r"got shape \[\]"),
        (nn.Identity(), torch.tensor([[math.nan]]), 5, ValueError, "finite images"),
        (nn.Identity(), torch.tensor([[math.inf]]), 5, ValueError, "finite images"),
        (nn.Identity(), torch.zeros(2, 3), 0, ValueError, "batch_size to be a whole number >= 1, got 0"),
        (nn.Identity(), torch.zeros(2, 3, 4), 5, ValueError, r"logits \[2, c\], got \[2, 3, 4\]"),
        (nn.Flatten(0), torch.zeros(2, 3), 5, ValueError, r"logits \[2, c\], got \[6\]"),
    ],
)
def test_predict_refuses(model, images, batch_size, error, message):
    with pytest.raises(error, match=f"^predict wants .*{message}"):
        predict(model, images, batch_size)


def test_networks_that_are_compared_take_turns():
    order, models = [], {"a": FromPixels(), "b": FromPixels()}
    for name, model in models.items():
        model.register_forward_hook(lambda model, inputs, output, name=name: order.append(name))
    found = passports(models, toy_split(), repeats=2)
    assert [one.name for one in found] == ["a", "b"]
    assert "".join(order).count("aabbbbaa") == 2  # for a batch of 1 and of 64
    alone = passport(FromPixels(), toy_split(), "a", repeats=1)
    assert dataclasses.replace(found[0], latency=()) == dataclasses.replace(alone, latency=())


def test_passport_says_what_a_hand_count_says():
    model, split = FromPixels().train(), toy_split()
    threads = torch.get_num_threads()
    found = passport(model, split, "toy model", threads=threads + 1, repeats=2)
    # 12 examples, wrong are numbers 3, 7 and 11, of the classes 0, 1 and 2: a tie, which the first class takes.
    assert (found.name, found.task, found.part, found.n) == ("toy model", "toy", "validation", 12)
    assert found.accuracy == 9 / 12
    assert (found.accuracy_low, found.accuracy_high) == wilson_interval(9, 12)
    assert (found.worst_class, found.worst_class_accuracy) == ("a", 3 / 4)
    assert found.ece == pytest.approx(0.75 - 0.6, abs=1e-6)
    assert (found.bytes, found.macs) == (36, 9)
    assert [(row.batch, row.threads) for row in found.latency] == [(1, threads + 1), (64, threads + 1)]
    assert {64, 1} <= set(model.batches)
    assert found.threads == threads + 1
    assert torch.get_num_threads() == threads
    assert model.training
    assert model.dropout.training
    assert found.device
    assert found.versions == {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "posttrain_lab": posttrain_lab.__version__,
    }


def test_passport_of_the_test_part_and_a_class_without_examples():
    split = toy_split()
    only = Dataset(split.test.images[:2], split.test.labels[:2], split.test.classes)
    found = passport(FromPixels(), dataclasses.replace(split, test=only), "two", part="test", repeats=1)
    assert (found.part, found.n, found.accuracy, found.worst_class) == ("test", 2, 1.0, "a")
    assert found.accuracy_high == 1.0


def test_passport_of_a_model_without_linear_layers():
    found = passport(nn.Flatten(), toy_split(), "none", repeats=1)
    assert (found.bytes, found.macs, found.accuracy) == (0, 0, 0.75)


def test_passport_agrees_with_its_parts_on_the_shipped_network():
    from posttrain_lab.data import load_fashion
    from posttrain_lab.models import load_pretrained

    whole, model = load_fashion(), load_pretrained("fashion_cnn")
    split = dataclasses.replace(whole, validation=whole.validation.first(200))
    found = passport(model, split, "fp32", repeats=1)
    logits = predict(model, split.validation.images)
    assert found.accuracy == accuracy(logits, split.validation.labels)
    assert found.bytes == model_bytes(model)
    assert found.macs == macs(model, split.validation.images[:1])


def test_passport_refuses():
    split, model = toy_split(), FromPixels()
    nothing = split.validation.first(0)
    wanted = [
        (lambda: passport(torch.relu, split, "x"), TypeError, "an nn.Module, got builtin_function"),
        (lambda: passport(model, split.test, "x"), TypeError, "passport wants a Split, got Dataset"),
        (lambda: passport(model, split, "x", part="train"), ValueError, "part to be one of .*'test'.*, got 'train'"),
        (lambda: passport(model, split, "x", part="calibration"), ValueError, "got 'calibration'"),
        (lambda: passport(model, split, "x", threads=0), ValueError, "threads to be a whole number >= 1, got 0"),
        (lambda: passport(model, split, "x", repeats=0), ValueError, "passport wants repeats to be a whole number >= 1, got 0"),
        (lambda: passport(model, dataclasses.replace(split, validation=nothing), "x"), ValueError, r"shape \[0"),
    ]
    for call, error, message in wanted:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_passport_refuses_logits_that_are_no_numbers(value):
    model = FromPixels()
    nn.init.constant_(model.linear.weight, value)
    with pytest.raises(ValueError, match="passport wants a model with finite logits"):
        passport(model, toy_split(), "broken")


def test_the_name_of_the_device_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "Path", lambda name: tmp_path / "absent")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert measure.device_name(torch.device("cpu")) == "arm64"
    assert measure.device_name(torch.device("mps")) == "arm64 mps"
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6")
    assert measure.device_name(torch.device("cpu")) == "Intel64 Family 6"


def test_save_and_load_give_the_same_passport(tmp_path):
    path = ONE.save(tmp_path / "größe.json")
    assert Passport.load(path) == ONE
    assert Passport.load(str(path)) == ONE
    assert json.loads(path.read_text(encoding="utf-8"))["latency"][1]["batch"] == 64
    TWO.save(path)
    assert Passport.load(path) == TWO
    assert [file.name for file in tmp_path.iterdir()] == ["größe.json"]


def test_a_failed_save_keeps_the_old_file_and_leaves_no_part(tmp_path, monkeypatch):
    path = ONE.save(tmp_path / "kept.json")

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError, match=r"Passport.save cannot write .*kept\.json: Permission denied; choose"):
        TWO.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.json"]
    assert Passport.load(path) == ONE


def test_save_wants_an_existing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Passport.save cannot write .*one\.json: No such file"):
        ONE.save(tmp_path / "absent" / "one.json")


def damaged() -> dict[str, tuple[str, str]]:
    good = {"format": "posttrain_lab passport 1", **json.loads(json.dumps(dataclasses.asdict(ONE)))}
    without = {key: value for key, value in good.items() if key != "ece"}
    return {
        "cut short": (json.dumps(good)[:100], "delimiter|Expecting|Unterminated"),
        "empty": ("", "Expecting value"),
        "a list": ("[]", "format"),
        "another format": (json.dumps({**good, "format": "other"}), "format"),
        "a field missing": (json.dumps(without), "missing: ece"),
        "a field too many": (json.dumps({**good, "sparkle": 1}), "sparkle"),
        "a text for a number": (json.dumps({**good, "accuracy": "high"}), "accuracy to be float or int, got 'high'"),
        "a fraction of bytes": (json.dumps({**good, "bytes": 1.5}), "bytes to be int, got 1.5"),
        "NaN": (json.dumps({**good, "ece": math.nan}), "ece in"),
        "outside its interval": (json.dumps({**good, "accuracy": 0.5}), "accuracy_low <= accuracy"),
        "no examples": (json.dumps({**good, "n": 0}), "n >= 1"),
        "latency a number": (json.dumps({**good, "latency": 3}), "not iterable"),
        "latency unordered": (json.dumps({**good, "latency": [{**good["latency"][0], "p20": 9.0}]}), "p20 <= p50"),
        "latency incomplete": (json.dumps({**good, "latency": [{"p20": 1.0}]}), "missing"),
    }


@pytest.mark.parametrize("case", damaged())
def test_a_damaged_file_is_named_with_the_fault_and_the_remedy(case, tmp_path):
    text, message = damaged()[case]
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"Passport.load wants .*old\.json.*damaged \(.*({message}).*measure the model"):
        Passport.load(path)


def test_a_file_that_is_no_text_is_damaged_and_an_absent_one_absent(tmp_path):
    (tmp_path / "old.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match=r"old\.json, which is damaged"):
        Passport.load(tmp_path / "old.json")
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.json; write one"):
        Passport.load(tmp_path / "absent.json")


def test_a_measurement_refuses_what_cannot_be():
    for change in ({"p20": 0.5}, {"p20": -0.1}, {"p80": math.inf}, {"p50": math.nan}, {"batch": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="Measurement wants 0 <= p20 <= p50 <= p80"):
            dataclasses.replace(FASTER, **change)
    with pytest.raises(TypeError, match="Measurement wants batch to be int, got '1'"):
        dataclasses.replace(FASTER, batch="1")
    with pytest.raises(TypeError, match="Passport wants latency to hold Measurements"):
        dataclasses.replace(ONE, latency=(1.0,))


def test_at_batch():
    assert ONE.at_batch(64).p50 == 0.064
    with pytest.raises(ValueError, match=r"at_batch wants .* one of \[1, 64\], got 8"):
        ONE.at_batch(8)


def test_rows_hold_the_numbers_and_the_differences_to_the_first():
    first, second = compare([ONE, TWO])
    assert first["name"] == "fp32"
    assert [value for key, value in first.items() if key.endswith("_change")] == [0] * 7
    assert second["accuracy"] == 0.918
    assert second["accuracy_change"] == pytest.approx(-0.002)
    assert second["bytes_change"] == 108_744 - 434_976
    assert second["macs_change"] == -4_289_536
    assert second["seconds_batch_1_change"] == pytest.approx(-0.0015)
    assert second["seconds_batch_64_change"] == 0
    assert (second["accuracy_low"], second["worst_class"]) == (0.907, "shirt")


def test_the_text_table_says_it_in_lines():
    table = compare([ONE, TWO]).text()
    assert str(compare([ONE, TWO])) == table
    lines = {line[: line.index("  ")]: line for line in table.splitlines() if line[0] != " "}
    assert lines["accuracy"].split() == ["accuracy", "92.0", "%", "91.8", "%", "(-0.2", "points)"]
    assert lines["size"].split() == ["size", "435", "kB", "109", "kB", "(-75.0", "%)"]
    assert lines["ECE"].endswith("0.026 (+0.005)")
    assert lines["worst class"].endswith("shirt 75.0 % (+0.0 points)")
    assert lines["work per example"].endswith("0 MACs (-100.0 %)")
    assert lines["batch of 1: p50 [p20, p80] ms"].split()[-8:] == ["3", "[2,", "5]", "1.5", "[1,", "2]", "(-50.0", "%)"]
    assert "(" not in ONE.table()
    nearly = dataclasses.replace(ONE, name="again", accuracy=ONE.accuracy - 1e-9, ece=ONE.ece - 1e-9)
    assert "-0.0" not in compare([ONE, nearly]).text()


def test_a_difference_to_nothing_is_left_out():
    assert "%)" not in dict(line[::2] for line in compare([TWO, ONE]).grid())["work per example"]
    alone = dataclasses.replace(ONE, latency=())
    row = compare([alone, ONE]).rows[1]
    assert "seconds_batch_1" in row
    assert "seconds_batch_1_change" not in row
    assert compare([ONE, alone]).grid()[-3][2] == ""


class Reader(html.parser.HTMLParser):
    """The cells of the table, and every tag that was opened and not closed."""

    def __init__(self):
        super().__init__()
        self.rows, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.rows[-1][-1] += data


def test_the_html_table_has_the_same_cells_with_names_escaped():
    hostile = dataclasses.replace(TWO, name="<script>alert(1)</script> & co")
    comparison = compare([ONE, hostile])
    reader = Reader()
    reader.feed(comparison.html())
    assert reader.open == []
    assert reader.rows == comparison.grid()
    assert "<script>" not in comparison.html()
    assert comparison._repr_html_() == comparison.html()
    assert ONE._repr_html_() == compare([ONE]).html()


def test_compare_takes_any_iterable_and_refuses_nothing_and_strangers():
    assert isinstance(compare(iter([ONE])), Comparison)
    assert len(compare((ONE, TWO))) == 2
    with pytest.raises(ValueError, match="compare wants at least one Passport, got none"):
        compare([])
    with pytest.raises(TypeError, match=r"compare wants Passports, got \['Passport', 'str'\]"):
        compare([ONE, "int8"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1 kB"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (1e9, "1 GB"),
        (5e12, "5000 GB"),
    ],
)
def test_short_numbers_never_show_an_exponent(value, text):
    assert short(value, "B") == text


def test_slow_calls_are_shown_without_an_exponent():
    slow = dataclasses.replace(ONE, latency=(Measurement(1.0, 2.5, 30.0, 1, 1),))
    assert "2500 [1000, 30000]" in slow.table()
