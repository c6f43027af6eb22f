"""The shipped table of pruned networks says what unit 01 says about it, and its recoveries saw no image that was held out."""

import csv
from pathlib import Path

import pytest
import torch

from posttrain_lab.data import Dataset, load_fashion
from posttrain_lab.making import pruning_quality as making
from posttrain_lab.metrics import wilson_interval

ROWS = list(csv.DictReader(making.TABLE.read_text(encoding="utf-8").splitlines()))


def of(method: str) -> list[dict[str, str]]:
    return [row for row in ROWS if row["method"] == method]


def test_every_row_has_three_seeds_and_a_minute_at_most():
    assert list(dict.fromkeys(row["method"] for row in ROWS)) == list(making.METHODS)
    assert all([row["seed"] for row in of(method)] == ["0", "1", "2"] for method in making.METHODS)
    assert all(0 < float(row["seconds"]) <= 60 for row in ROWS)


def test_columns_agree_with_each_other():
    for row in ROWS:
        hits = round(float(row["accuracy"]) * 10_000)
        assert wilson_interval(hits, 10_000) == pytest.approx((float(row["low"]), float(row["high"])), abs=5e-5)
        assert float(row["points"]) == pytest.approx(100 * (float(row["accuracy"]) - float(row["dense"])), abs=6e-3)


def test_a_tenth_of_the_weights_costs_less_than_a_point():
    rows = of("90 % unstructured, global")
    assert all(float(row["points"]) >= -1 and float(row["weights_left"]) == pytest.approx(0.1, abs=1e-4) for row in rows)


def test_half_of_the_arithmetic_costs_less_than_a_point():
    rows = of("half the MACs, channels")
    assert all(float(row["points"]) >= -1 and float(row["macs_left"]) <= 0.5 for row in rows)
    assert all(float(row["speedup_batch_64"]) >= 1.6 for row in rows)  # as measured once, for the table


@pytest.mark.parametrize("part", ["calibration", "validation", "test"])
def test_an_image_that_was_held_out_is_refused(part, monkeypatch):
    split = load_fashion()
    images, labels = split.train.images[:20].clone(), split.train.labels[:20]
    monkeypatch.setattr(making, "training_images", lambda folder, held_out: (images, labels))
    assert len(making.training_data(Path("anywhere"), split)) == 20
    images[7] = getattr(split, part).images[-1]
    with pytest.raises(ValueError, match=f"no image of {part} among the training images, got 1"):
        making.training_data(Path("anywhere"), split)


def test_each_seed_draws_its_own_images_once_each():
    data = Dataset(torch.arange(50.0).reshape(50, 1, 1, 1), torch.arange(50), tuple(map(str, range(50))))
    one, same, other = (making.drawn(data, 30, seed) for seed in (1, 1, 2))
    assert len(set(one.labels.tolist())) == 30
    assert torch.equal(one.images.flatten().long(), one.labels)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.labels, other.labels)
