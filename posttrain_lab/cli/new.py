"""The commands of contributors: begin a new exercise, begin a new unit."""

from posttrain_lab.cli.unit_names import full_name
from posttrain_lab.grading.course import find_course
from posttrain_lab.grading.skeleton import Plan, new_exercise, new_unit


def begin_exercise(unit: str, name: str) -> None:
    """Write the stubs of an exercise and say what comes next. Raises ValueError for a unit or a name that will not do."""
    folder = full_name(unit)
    _written(new_exercise(find_course(), folder, name))
    print(f"Next: write what `posttrain-lab prove {folder}` names. CONTRIBUTING.md leads through it.")


def begin_unit(name: str) -> None:
    """Write the files of a unit without exercises. Raises ValueError for a name that will not do."""
    _written(new_unit(find_course(), name))
    print(
        f"Next: its line in posttrain_lab/units.py, then `posttrain-lab new exercise {name} NAME`. CONTRIBUTING.md leads through it."
    )


def _written(plan: Plan) -> None:
    files = plan.write()
    print("\n".join([f"{len(plan.made)} files are new, {len(plan.changed)} have more lines:", *(f"  {path}" for path in files)]))
