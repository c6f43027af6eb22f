"""`clinic.sheets`: twelve cases that only the secret and the name decide."""

import hmac
from collections import Counter
from itertools import pairwise

import pytest

from posttrain_lab.clinic import HEALTHY, LEVELS, NAMES, PATIENTS, PUBLIC, name_points, sheet, token_of

CLASS = [sheet(token_of("a secret", f"student {number}")) for number in range(400)]


def test_a_token_is_an_hmac_of_the_name():
    assert token_of("key", "ann") == hmac.digest(b"key", b"ann", "sha256").hex()[:16]
    assert len({token_of(secret, name) for secret in ("a", "b") for name in ("ann", "Ann", "ann ")}) == 6


def test_a_sheet_is_the_same_for_ever():
    """A change of this line gives every learner other patients in the middle of a course."""
    first = sheet(token_of(PUBLIC, "ann"))
    told = [(case.number, case.name, case.seed, case.broken, case.place) for case in (first[0], first[4], first[7])]
    assert told == [
        (1, "copy_not_used", 273, True, ""),
        (5, "merge_without_scale", 1726, False, ""),
        (8, "cached_weights", 6445, True, ""),
    ]
    assert sheet(f" {token_of(PUBLIC, 'ann').upper()}\n") == first


def test_four_different_patients_of_each_level():
    for cases in CLASS:
        assert [case.number for case in cases] == list(range(1, 13))
        assert [case.patient.level for case in cases] == sorted([1, 2, 3] * 4)
        assert len({case.name for case in cases}) == 12
        assert all((case.place in case.patient.places) == (case.broken and bool(case.patient.places)) for case in cases)
        assert {case.diagnosis for case in cases} <= set(NAMES)


def test_one_in_four_is_healthy_and_all_patients_and_places_come():
    """Bounds of six standard deviations of 4,800 independent draws."""
    cases = [case for cases in CLASS for case in cases]
    healthy = sum(case.diagnosis == HEALTHY for case in cases)
    assert abs(healthy - 1200) < 6 * (4800 * 0.25 * 0.75) ** 0.5
    counts = Counter(case.name for case in cases)
    for names in LEVELS.values():
        share = 4 / len(names)
        assert all(abs(counts[name] - 400 * share) < 6 * (400 * share * (1 - share)) ** 0.5 for name in names)
    assert {(case.name, case.place) for case in cases if case.broken} == {
        (name, place) for name, patient in PATIENTS.items() for place in patient.places or ("",)
    }


def test_a_neighbours_answers_are_no_use():
    pairs = [(a.diagnosis, b.diagnosis) for x, y in pairwise(CLASS) for a, b in zip(x, y, strict=True)]
    assert sum(a == b for a, b in pairs) / len(pairs) < 0.25
    assert sum(name_points({a: 1.0}, b) for a, b in pairs) < 0
    assert len(set(CLASS)) == len(CLASS)


@pytest.mark.parametrize("token", ["", "abc", "g" * 16, "0" * 17])
def test_what_is_no_token_is_named(token):
    with pytest.raises(ValueError, match="sheet wants a token of 16 digits"):
        sheet(token)


def test_nobody_has_no_token():
    with pytest.raises(ValueError, match="wants a secret and a student's name"):
        token_of(PUBLIC, "")
