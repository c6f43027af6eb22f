"""Bands and shared places."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain_lab.comparisons import paired_difference
from posttrain_lab.projects.instances import PUBLIC, instance_seed
from posttrain_lab.projects.standing import band_points, paired_intervals, places


@given(st.floats(-1, 3), st.floats(0.1, 2), st.floats(0.001, 1), st.floats(1, 100))
def test_points_lie_on_a_line_and_within_its_ends(score, naive, gap, most):
    excellent = naive - gap
    points = band_points(score, naive, excellent, most)
    assert 0 <= points <= most
    if excellent < score < naive:
        assert points == pytest.approx(most * (naive - score) / gap, abs=1e-6)
    assert band_points(naive, naive, excellent, most) == 0
    assert band_points(excellent, naive, excellent, most) == pytest.approx(most)


def test_what_has_no_points():
    assert band_points(float("nan"), 0.5, 0.2, 20) == 0
    assert band_points(float("inf"), 0.5, 0.2, 20) == 0
    with pytest.raises(ValueError, match="the excellent score below the naive one"):
        band_points(0.3, 0.2, 0.2, 20)


def test_intervals_are_those_of_the_paired_bootstrap():
    generator = torch.Generator().manual_seed(0)
    shared = torch.rand(1000, generator=generator, dtype=torch.float64)
    rows = torch.stack([shared, shared + 0.05 * torch.randn(1000, generator=generator, dtype=torch.float64), shared.flip(0)])
    difference, half = paired_intervals(rows)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        found = paired_difference(rows[i], rows[j], resamples=4000)
        assert difference[i, j].item() == pytest.approx(found.value)
        assert half[i, j].item() == pytest.approx((found.high - found.low) / 2, rel=0.1)
    assert torch.equal(half, half.T)
    with pytest.raises(ValueError, match="two instances at least"):
        paired_intervals(torch.zeros(2, 1))


def by_hand(rows):
    """Places by the rule as it is written: two entries whose interval holds 0 share, and with them all between."""
    difference, half = paired_intervals(rows)
    order = sorted(range(len(rows)), key=lambda k: rows[k].double().mean().item())
    place = {entry: rank for rank, entry in enumerate(order)}
    changed = True
    while changed:
        changed = False
        for a in order:
            for b in order:
                if abs(difference[a, b]) <= half[a, b]:
                    between = [one for one in order if min(place[a], place[b]) <= place[one] <= max(place[a], place[b])]
                    low = min(place[one] for one in between)
                    changed |= any(place[one] != low for one in between)
                    place.update(dict.fromkeys(between, low))
    return [place[k] + 1 for k in range(len(rows))]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_places_are_those_of_the_rule(seed, entries):
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(entries, 1, generator=generator, dtype=torch.float64) * 0.3
    rows = level + torch.rand(entries, 60, generator=generator, dtype=torch.float64)
    assert places(rows) == by_hand(rows)


def test_seeds_need_the_secret():
    assert instance_seed("a", "p", 0) != instance_seed("b", "p", 0) != instance_seed("b", "p", 1)
    assert len({instance_seed(PUBLIC, "p", number) for number in range(500)}) == 500
    for secret, number in (("", 0), ("a", -1)):
        with pytest.raises(ValueError, match="wants a secret and a number"):
            instance_seed(secret, "p", number)
