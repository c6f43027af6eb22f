"""The shipped mortality table: what is in it, who is left out, and the four parts."""

import itertools

import numpy as np
import pytest
import torch

from posttrain_lab.data import files, load_mortality, mortality
from posttrain_lab.data.mortality import CREATININE, FEATURES, HORIZON, SHARES, known_outcomes, split_people


@pytest.fixture(scope="module")
def table():
    with np.load(files.FILES / "flchain.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_card_says_what_is_in_the_file(table):
    card = (files.FILES / "flchain_card.md").read_text(encoding="utf-8")
    died = table["died"] & (table["days"] <= HORIZON)
    censored = ~table["died"] & (table["days"] <= HORIZON)
    same_day = table["days"] == 0
    facts = {
        "7,874 people": len(table["age"]) == 7874,
        "195 people were last seen alive": censored.sum() == 195,
        "3 people whose sample": same_day.sum() == 3 and table["died"][same_day].all(),
        "7,676 people, 932 deaths (12.1 %)": (len(table["age"]) - 198, (died & ~same_day).sum()) == (7676, 932),
        "1,350 (17 %)": np.isnan(table["creatinine"]).sum() == 1350,
        "2,169 (28 %)": table["died"].sum() == 2169,
        "50 to 101": (table["age"].min(), table["age"].max()) == (50, 101),
        "1995 to 2003": (table["sample_year"].min(), table["sample_year"].max()) == (1995, 2003),
        "0 to 5,215": (table["days"].min(), table["days"].max()) == (0, 5215),
        "45 % true": round(100 * table["male"].mean()) == 45,
        "1.5 % true": round(100 * table["mgus"].mean(), 1) == 1.5,
        "must not be used for": True,
        "LGPL": True,
    }
    for fact, holds in facts.items():
        assert fact in card, fact
        assert holds, fact
    assert "chapter" not in table  # the cause of death would give the answer away


def test_fewer_died_among_those_without_creatinine():
    features, labels = known_outcomes()
    missing = features[:, CREATININE].isnan()
    assert labels[missing].float().mean() < labels[~missing].float().mean()
    assert torch.equal(missing, features[:, FEATURES.index("creatinine missing")] == 1)


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_parts_are_disjoint_cover_and_have_the_same_share_of_deaths(seed):
    _, labels = known_outcomes()
    parts = split_people(labels, seed)
    for first, second in itertools.combinations(parts.values(), 2):
        assert not set(first.tolist()) & set(second.tolist())
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(len(labels)))
    for name, index in parts.items():
        assert abs(labels[index].sum().item() - SHARES[name] * labels.sum().item()) <= 1
        assert abs(len(index) - SHARES[name] * len(labels)) <= 2


def test_missing_creatinine_takes_the_median_of_the_train_part_only():
    split = load_mortality()
    missing = FEATURES.index("creatinine missing")
    filled = [part.images[part.images[:, missing] == 1, CREATININE] for part in (split.train, split.calibration, split.test)]
    known = split.train.images[split.train.images[:, missing] == 0, CREATININE]
    assert torch.cat(filled).unique().tolist() == [known.median().item()]
    for part in (split.train, split.calibration, split.validation, split.test):
        assert part.images.isfinite().all()
        assert part.images.dtype == torch.float32
        assert part.labels.unique().tolist() == [0, 1]


def test_the_seed_decides():
    first, again, other = load_mortality(), load_mortality(), load_mortality(seed=1)
    assert torch.equal(first.test.images, again.test.images)
    assert not torch.equal(first.test.labels, other.test.labels)


def test_damage_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(mortality, "FILES", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"flchain\.npz is missing"):
        load_mortality()
    (tmp_path / "flchain.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"flchain\.npz \(1 bytes\) is damaged"):
        load_mortality()


def test_the_licence_is_beside_the_data():
    assert "flchain.npz" in (files.FILES / "LICENSES.md").read_text(encoding="utf-8")
    assert "LESSER GENERAL PUBLIC LICENSE" in (files.FILES / "flchain_LICENSE.txt").read_text(encoding="utf-8")
