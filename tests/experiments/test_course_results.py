"""One file of passports for all units, and the pruned network beside it, or the shipped one."""

import dataclasses

import pytest
import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.experiments import course_results
from posttrain_lab.measure import predict
from posttrain_lab.metrics import accuracy, macs
from posttrain_lab.models import fashion_cnn, load_pretrained
from posttrain_lab.pruning import magnitude_mask
from tests.passports import ONE


def test_the_work_folder_lies_above_the_notebook(tmp_path, monkeypatch):
    (tmp_path / "01_pruning").mkdir()
    monkeypatch.chdir(tmp_path / "01_pruning")
    assert course_results.work_folder() == tmp_path
    assert course_results.kept_passports() == ()
    course_results.keep_passports([ONE])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "02_quantization").mkdir()
    monkeypatch.chdir(tmp_path / "02_quantization")
    assert course_results.kept_passports() == (ONE,)


def test_a_passport_takes_the_place_of_an_older_one_with_its_name(tmp_path):
    other, again = dataclasses.replace(ONE, name="int8"), dataclasses.replace(ONE, accuracy=0.91)
    course_results.keep_passports([ONE, other], tmp_path)
    assert course_results.keep_passports([again], tmp_path) == (again, other)
    assert course_results.kept_passports(tmp_path) == (again, other)


@pytest.mark.parametrize("text", ["[{", '[{"format": "something else"}]', "[3]"])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / course_results.PASSPORTS).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"passports\.json is damaged .* delete it"):
        course_results.keep_passports([ONE], tmp_path)


def test_the_kept_network_comes_before_the_shipped_one(tmp_path):
    shipped, words = course_results.pruned_network(tmp_path)
    assert "comes with the course" in words
    example = torch.zeros(1, 1, 28, 28)
    assert 0.4 < macs(shipped, example) / macs(fashion_cnn(), example) <= 0.5
    mine = load_pretrained("fashion_cnn")
    mine[13].weight.data *= magnitude_mask(mine[13].weight.data, 0.9)
    course_results.keep_network(mine, tmp_path)
    found, words = course_results.pruned_network(tmp_path)
    assert "you pruned" in words
    assert torch.equal(found[13].weight, mine[13].weight)


def test_the_shipped_network_is_as_good_as_its_log_says():
    split = load_fashion()
    found, _ = course_results.pruned_network(course_results.FILES)
    log = (course_results.FILES / "fashion_cnn_pruned.log").read_text(encoding="utf-8")
    stated = float(log.partition("validation: ")[2].partition("before, ")[2].split()[0])
    part = split.validation.first(1000)
    assert accuracy(predict(found, part.images), part.labels) == pytest.approx(stated, abs=0.02)


@pytest.mark.slow
def test_prune_then_quantize_measures_and_keeps_both(tmp_path):
    split = load_fashion()
    small = dataclasses.replace(split, validation=split.validation.first(300))
    comparison = course_results.prune_then_quantize(small, folder=tmp_path, repeats=1)
    floats, integers = comparison.passports
    assert integers.bytes < 0.3 * floats.bytes
    assert integers.accuracy == pytest.approx(floats.accuracy, abs=0.05)
    assert [one.name for one in course_results.kept_passports(tmp_path)] == ["pruned", "pruned, int8"]
