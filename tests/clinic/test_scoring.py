"""`clinic.scoring`: what is earned by knowing, guessing, copying and repairing."""

import copy
import math
import re
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch
from torch import nn

from posttrain_lab.calibration import fit_temperature
from posttrain_lab.clinic import (
    NAMES,
    PATIENTS,
    Answer,
    Marks,
    SheetCase,
    evidence_holds,
    like_healthy_runs,
    mark,
    name_points,
    repair_fails,
    sheet_points,
)
from posttrain_lab.clinic.patients import augmented_before_split, merge_without_scale, statistics_move
from posttrain_lab.clinic.subjects import Examples, answers

SEED = 20_000


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestNamePoints:
    def test_knowing_not_knowing_and_being_wrong(self):
        assert name_points({"A": 1.0}, "A") == 2.0
        assert name_points(dict.fromkeys(NAMES, 1 / 9), "C") == pytest.approx(0.0)
        assert name_points({"A": 1.0}, "B") == pytest.approx(2 - 4.5)

    def test_nothing_earns_more_than_what_one_believes(self):
        """The expected points of any report, if the truth is drawn from the belief: largest for the belief itself."""
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            belief, other = (torch.rand(9, generator=generator).double().pow(3) for _ in range(2))
            belief, other = belief / belief.sum(), other / other.sum()
            expected = [
                sum(
                    float(b) * name_points(dict(zip(NAMES, r.tolist(), strict=True)), n)
                    for b, n in zip(belief, NAMES, strict=True)
                )
                for r in (belief, other, torch.nn.functional.one_hot(belief.argmax(), 9))
            ]
            assert expected[0] == max(expected)

    def test_a_guess_for_sure_is_worth_nothing_on_average(self):
        assert sum(name_points({"D": 1.0}, truth) for truth in NAMES) / 9 == pytest.approx(-2.0)
        assert sheet_points([Marks(0, -2.5, 0)] * 8 + [Marks(0, 2.0, 0)] * 4) == 0.0

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ({"A": 0.5}, "sum to 1"),
            ({"A": 1.5, "B": -0.5}, r"in \[0, 1\]"),
            ({"I": 1.0}, "got 'I'"),
            ({"A": math.nan}, "sum to 1"),
        ],
    )
    def test_what_are_no_probabilities(self, name, words):
        with pytest.raises(ValueError, match=words):
            name_points(name, "A")


class TestEvidence:
    def test_a_place(self):
        case = SheetCase(1, "statistics_move", 3, broken=True, place="5")
        assert evidence_holds(case, " 5 ")
        assert not any(evidence_holds(case, wrong) for wrong in ("1", "", 5, None))

    def test_a_number_of_this_very_patient(self):
        case = SheetCase(1, "norm_cut_elsewhere", 3, broken=True)
        for one in (case, replace(case, broken=False)):
            number = one.patient.evidence(one.run())
            assert evidence_holds(one, number * 1.015)
            assert evidence_holds(one, 0.51, number=0.5)
            assert not any(evidence_holds(one, wrong) for wrong in (number * 1.025, 0.0, math.nan, "4", None, True))


def test_runs_like_healthy_ones_by_scipy():
    """The edge lies at t's quantile; a spread of 0 allows rounding only."""
    stats = pytest.importorskip("scipy.stats")
    healthy = [0.70, 0.74, 0.72, 0.75, 0.71, 0.73]
    half = stats.t.isf(1 / 4000, 5) * stdev(healthy) * math.sqrt(1 / 3 + 1 / 6)
    for sign in (-1, 1):
        assert like_healthy_runs([fmean(healthy) + 0.999 * sign * half] * 3, healthy)
        assert not like_healthy_runs([fmean(healthy) + 1.001 * sign * half] * 3, healthy)
    assert like_healthy_runs([0.8 + 1e-9], [0.8] * 5)
    assert not like_healthy_runs([0.79], [0.8] * 5)
    with pytest.raises(ValueError, match="got 1 and 1"):
        like_healthy_runs([0.5], [0.5])


def still(model: nn.Sequential) -> None:
    """Another form of the right freezing: by eval mode alone."""
    model.requires_grad_(False)
    model[-1].requires_grad_(True)
    model.eval()


def without_momentum(model: nn.Sequential) -> None:
    """The statistics stay, but the norms go on using those of the batch."""
    statistics_move.broken(model, place="1")
    model[1].momentum = 0.0


def plain(layer):
    """Another form of the right merge."""
    base = copy.deepcopy(layer.base)
    base.weight.data += (layer.alpha / layer.rank * layer.B @ layer.A).detach().reshape(base.weight.shape)
    return base


def no_copies(part, copies, generator):
    """No leak, and no augmentation either: what is validated is another training."""
    return Examples(part.x[:480], part.y[:480]), Examples(part.x[480:], part.y[480:])


def fitted(where):
    return lambda model, parts: fit_temperature(answers(model, parts[where].x), parts[where].y)


def looks_and_guesses(model, parts):
    return 3.0 + 0 * len(parts["calibration"].y)


class TestRepair:
    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("statistics_move", still),
            ("merge_without_scale", plain),
            ("temperature_on_train", fitted("calibration")),
            ("augmented_before_split", lambda p, copies, g: (copies(p.first(480)), Examples(p.x[480:], p.y[480:]))),
        ],
    )
    def test_right_ones_of_another_form_pass(self, name, part):
        assert repair_fails(PATIENTS[name], part, SEED) == ""

    @pytest.mark.parametrize(
        ("name", "part", "words"),
        [
            ("statistics_move", lambda model: model.requires_grad_(False), "RuntimeError|ValueError"),
            ("statistics_move", without_momentum, "num_batches|still finds it|repaired run"),
            ("merge_without_scale", merge_without_scale.broken, "same_answers still finds it"),
            ("merge_without_scale", lambda layer: layer, "still finds it: inf"),
            ("merge_without_scale", lambda layer: layer.base, "still finds it"),
            ("temperature_on_train", fitted("test"), "leak_check still finds it: 1"),
            ("temperature_on_train", looks_and_guesses, "repaired run"),
            ("augmented_before_split", augmented_before_split.broken, "leak_check still finds it"),
        ],
    )
    def test_wrong_ones_are_refused_with_a_reason(self, name, part, words):
        assert re.search(words, repair_fails(PATIENTS[name], part, SEED))


class TestVerdict:
    case = SheetCase(1, "statistics_move", 3, broken=True, place="1")

    def test_all_five_points(self):
        assert mark(self.case, Answer({"A": 1.0}, "1", still), SEED) == Marks(1.0, 2.0, 2.0)

    def test_none(self):
        found = mark(self.case, Answer(dict.fromkeys(NAMES, 1 / 9)), SEED)
        assert (found.evidence, found.name, found.repair) == pytest.approx((0, 0, 0))
        assert found.told == "No repair was handed in."

    def test_a_healthy_patient_is_left_alone(self):
        case = replace(self.case, broken=False, place="")
        assert mark(case, Answer({"healthy": 1.0}), SEED) == Marks(0.0, 2.0, 2.0)
        assert mark(case, Answer({"healthy": 1.0}, None, still), SEED) == Marks(0.0, 2.0, 0.0, "Nothing was broken.")
        assert mark(case, Answer({"A": 1.0}), SEED).repair == 0.0
