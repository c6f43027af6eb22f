"""Measure the shipped table of unit 11: `python -m posttrain_lab.making.clinic_runs`.

Every patient and control, healthy and broken, on each of `SEEDS`; a patient with several places is broken at one after the other.
With names of patients, only these are measured again, and the other rows stay.
"""

import sys
from collections.abc import Iterable

import torch
from tqdm import tqdm

from posttrain_lab.clinic import CONTROLS, PATIENTS, Patient
from posttrain_lab.data.clinic_runs import NAME, ClinicRun, load_clinic_runs
from posttrain_lab.data.files import FILES
from posttrain_lab.making.tables import write_table

SEEDS = range(12)


def measured(patient: Patient, seed: int, broken: bool) -> ClinicRun:
    """One row."""
    place = patient.places[seed % len(patient.places)] if broken and patient.places else ""
    run = patient.run(seed, patient.part(broken, place))
    shown, honest, reading = (float(f"{v:.6g}") for v in (run.shown, patient.measured(run), patient.reading(run)))
    return ClinicRun(patient.name, broken, place, seed, shown, honest, reading, " ".join(f"{loss:.4g}" for loss in run.log))


def runs(patients: Iterable[Patient]) -> list[ClinicRun]:
    """Every seed, healthy and broken; the seeds one after the other, as the patients share trained networks."""
    plan = [(patient, seed, broken) for seed in SEEDS for patient in patients for broken in (False, True)]
    return [measured(*one) for one in tqdm(plan, unit="run")]


def write(rows: Iterable[ClinicRun]) -> None:
    """The table, ordered by patient."""
    ordered = sorted(rows, key=lambda row: (row.patient, row.broken, row.seed))
    write_table(FILES / NAME, list(ClinicRun.__dataclass_fields__), map(vars, ordered))


def main() -> None:
    torch.set_num_threads(1)
    known = {**PATIENTS, **CONTROLS}
    wanted = sys.argv[1:] or list(known)
    kept = [row for row in load_clinic_runs() if row.patient not in wanted] if sys.argv[1:] else []
    write([*kept, *runs([known[name] for name in wanted])])


if __name__ == "__main__":
    main()
