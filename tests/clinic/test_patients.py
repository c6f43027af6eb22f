"""The patients: on one seed each, the instrument finds the broken run and not the healthy one.

CLINIC_SEEDS=12 tries twelve seeds, every place at which a patient can be broken, and the controls and the reserve. The shipped table has more
seeds than CI has time for.
"""

import ast
import inspect
import os

import pytest
import torch

from posttrain_lab.clinic import CONTROLS, KINDS, LEVELS, PATIENTS, RESERVE, damage, shown_code
from posttrain_lab.clinic import instruments as all_instruments
from posttrain_lab.data.clinic_runs import load_clinic_runs
from posttrain_lab.data.label_curves import mean_interval

SEEDS = range(int(os.environ.get("CLINIC_SEEDS", "1")))
EVERYBODY = {**PATIENTS, **CONTROLS}
RUNS = load_clinic_runs()


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def like(value, shipped):
    """Is it among the twelve shipped values, or less than their range beside them? (On another processor another network is trained.)"""
    low, high = min(shipped), max(shipped)
    return low - (high - low) - 0.005 <= value <= high + (high - low) + 0.005


@pytest.mark.parametrize("name", [*EVERYBODY, *RESERVE] if len(SEEDS) > 1 else PATIENTS)
def test_the_instrument_tells_the_broken_run_from_the_healthy_one(name):
    patient = {**EVERYBODY, **RESERVE}[name]
    for seed in SEEDS:
        healthy = patient.run(seed, patient.part(broken=False))
        places = patient.places if len(SEEDS) > 1 else patient.places[:1]
        broken = [patient.run(seed, patient.part(True, place)) for place in places or ("",)]
        assert not patient.looks_sick(patient.reading(healthy))
        assert all(patient.looks_sick(patient.reading(run)) for run in broken)
        rows = [row for row in RUNS if row.patient == name and not row.broken]
        if rows:  # of the reserve none are shipped
            assert like(patient.measured(healthy), [row.honest for row in rows])
            assert all(like(loss, [row.losses[epoch] for row in rows]) for epoch, loss in enumerate(healthy.log))


@pytest.mark.parametrize("name", EVERYBODY)
def test_in_the_shipped_table_it_does_so_on_every_seed(name):
    patient, rows = EVERYBODY[name], [row for row in RUNS if row.patient == name]
    assert sorted((row.broken, row.seed) for row in rows) == [(state, seed) for state in (False, True) for seed in range(12)]
    assert [row for row in rows if patient.looks_sick(row.reading) != row.broken] == []
    assert {row.place for row in rows if row.broken} == set(patient.places or ("",))


@pytest.mark.parametrize("name", PATIENTS)
def test_a_patient_hurts(name):
    """Seed by seed, broken minus healthy: the 95 % interval lies on one side of 0."""
    _, low, high = mean_interval(damage(PATIENTS[name]))
    assert low > 0 or high < 0


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_does_no_harm(name):
    """It is better, or not seen to be worse, and on average worse by less than a point."""
    mean, _, high = mean_interval(damage(CONTROLS[name]))
    assert high > 0
    assert mean > -0.01


def log_warns(losses):
    """What a careful look at the losses alone finds: they end well above their smallest, hardly fall, or are no numbers."""
    return bool(losses) and (
        losses[-1] > 1.1 * min(losses) or (len(losses) > 2 and losses[-1] > 0.8 * losses[0]) or any(v != v for v in losses)
    )


def test_the_log_tells_almost_none_from_its_healthy_twin():
    """Some logs look alarming, and are healthy; that counts for nothing."""
    runs = {(row.patient, row.seed, row.broken): row for row in RUNS if row.patient in PATIENTS}
    told = [
        log_warns(row.losses) and not log_warns(runs[name, seed, False].losses)
        for (name, seed, broken), row in runs.items()
        if broken
    ]
    assert len(told) == 12 * len(PATIENTS)
    assert sum(told) <= 0.05 * len(told)


def test_levels_kinds_and_instruments():
    assert {level: len(names) for level, names in LEVELS.items()} == {1: 7, 2: 7, 3: 6}
    assert all(PATIENTS[name].level == level for level, names in LEVELS.items() for name in names)
    assert {patient.kind for patient in (*EVERYBODY.values(), *RESERVE.values())} <= set(KINDS)
    assert {patient.instrument for patient in (*EVERYBODY.values(), *RESERVE.values())} <= set(all_instruments.__all__)
    assert len({**EVERYBODY, **RESERVE}) == len(PATIENTS) + len(CONTROLS) + len(RESERVE)


@pytest.mark.parametrize("name", PATIENTS)
def test_what_is_shown_of_the_code_does_not_tell_the_answer(name):
    patient = PATIENTS[name]
    place = patient.places[0] if patient.places else ""
    healthy, broken = shown_code(patient, False), shown_code(patient, True, place)
    if patient.level == 3:
        assert healthy == broken == ""
        return
    (part, run), (other, _) = (ast.parse(text).body for text in (healthy, broken))
    assert part.name == other.name == patient.healthy.__name__
    assert ast.get_docstring(part) == ast.get_docstring(other)
    assert [a.arg for a in part.args.args] == [a.arg for a in other.args.args]
    assert "broken" not in broken
    assert "place" not in {node.id for node in ast.walk(other) if isinstance(node, ast.Name)}
    assert (ast.dump(part) == ast.dump(other)) == (patient.level == 2)
    assert 3 <= len(run.body) <= 20
    assert len(broken.splitlines()) <= 45


@pytest.mark.parametrize("name", ["weights_swapped", "eval_in_train_mode"])
def test_the_code_that_is_shown_is_the_code_that_runs(name):
    """Part and run, compiled again from what is shown, give what the patient's own give."""
    patient = PATIENTS[name]
    place = patient.places[0] if patient.places else ""
    scope = dict(inspect.getmodule(patient.run).__dict__)
    exec(shown_code(patient, True, place), scope)
    again, own = scope["run"](1, scope[patient.healthy.__name__]), patient.run(1, patient.part(True, place))
    assert (again.shown, again.log) == (own.shown, own.log)
    assert again.shown != patient.run(1, patient.part(False)).shown


def test_a_place_must_be_one_of_the_patients():
    with pytest.raises(ValueError, match="statistics_move can be broken at 1, 5, got '2'"):
        PATIENTS["statistics_move"].part(True, "2")


def test_a_reading_that_is_no_number_is_sick():
    assert PATIENTS["rate_too_small"].looks_sick(float("nan"))
    assert PATIENTS["statistics_move"].looks_sick(float("nan"))
