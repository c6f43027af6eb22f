"""The command line: help for a newcomer, one sentence for an error, exit codes."""

import os
import re
import subprocess
import sys

import pytest

from posttrain_lab import __version__, checks
from posttrain_lab.checks import UNITS
from posttrain_lab.cli import app, course, unit_names

COMMANDS = (
    "start",
    "doctor",
    "demo",
    "bench",
    "deploy",
    "check",
    "progress",
    "release",
    "prove",
    "collect",
    "grade",
    "export",
    "report",
    "similarity",
    "sheets",
    "forget",
    "new",
    "site",
)


def run(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["posttrain-lab", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        app.main()
    shown = capsys.readouterr()
    return stopped.value.code or 0, shown.out, shown.err


def test_help_names_every_command(capsys, monkeypatch):
    code, out, _ = run(capsys, monkeypatch, "--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert "posttrain-lab start" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, monkeypatch, command):
    code, out, _ = run(capsys, monkeypatch, command, "--help")
    assert code == 0
    assert "Usage:" in out


def test_version(capsys, monkeypatch):
    assert run(capsys, monkeypatch, "--version")[:2] == (0, f"posttrain-lab {__version__}\n")


def test_unknown_command_is_a_usage_error(capsys, monkeypatch):
    code, _, err = run(capsys, monkeypatch, "strat")
    assert code == 2
    assert "strat" in err


@pytest.mark.parametrize("command", ["check", "grade", "prove"])
def test_unknown_unit_is_one_sentence(capsys, monkeypatch, command):
    code, _, err = run(capsys, monkeypatch, command, "99_magic")
    assert code == 1
    units = ", ".join(UNITS)
    assert err == f"Error: There is no unit '99_magic'; the units are: {units}.\n"


def test_check_before_start_says_what_to_do(capsys, monkeypatch, tmp_path):
    code, _, err = run(capsys, monkeypatch, "check", "02", "--folder", tmp_path / "none")
    assert code == 1
    assert err.startswith("Error: There is no ")
    assert "posttrain-lab start" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("2", "02"), ("7", "07"), ("002", "02"), ("quantisation", "quantization"), ("02_quantizaton", "02_quantization")],
)
def test_a_slip_is_answered_with_what_was_meant(capsys, monkeypatch, typed, meant):
    code, _, err = run(capsys, monkeypatch, "check", typed)
    assert code == 1
    assert err == f"Error: There is no unit '{typed}'. Did you mean {meant}? The units are: {', '.join(UNITS)}.\n"


@pytest.mark.parametrize("command", ["check", "prove", "grade"])
def test_a_wrong_name_of_a_unit_is_told_before_torch_is_imported(command):
    code = (
        "import sys; from posttrain_lab.cli import app\n"
        f"sys.argv = ['posttrain-lab', '{command}', '2']\n"
        "try: app.main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert "Did you mean 02?" in done.stderr


def test_the_shell_completes_units():
    asked = {"COMP_WORDS": "posttrain-lab check 0", "COMP_CWORD": "2", "_POSTTRAIN_LAB_COMPLETE": "complete_bash"}
    code = "import sys; sys.argv = ['posttrain-lab']; from posttrain_lab.cli.app import main; main()"
    environment = {**os.environ, **asked}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == [unit for unit in UNITS if unit.startswith("0")]


def test_progress_of_nothing_is_an_error(capsys, monkeypatch, tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        code, out, err = run(capsys, monkeypatch, "progress", "--folder", folder)
        assert (code, out) == (1, "")
        assert (
            err == f"Error: There is no course in {folder}: run posttrain-lab start first, or name your folder with --folder.\n"
        )


def test_progress_of_a_new_learner(capsys, monkeypatch, tmp_path):
    (tmp_path / "02_quantization").mkdir()
    code, out, _ = run(capsys, monkeypatch, "progress", "--folder", tmp_path)
    assert code == 0
    assert out.count("never") == len(checks.UNITS)


@pytest.mark.parametrize("command", ["exercise", "unit"])
def test_every_new_thing_has_help(capsys, monkeypatch, command):
    code, out, _ = run(capsys, monkeypatch, "new", command, "--help")
    assert code == 0
    assert re.search(rf"Usage: .* new {command} .*NAME", out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("exercise", "99_magic", "clip_range"), "There is no unit '99_magic'; the units are: "),
        (("exercise", "02", "Clip"), "An exercise is named after its function: small letters, digits and single underscores, "),
        (("exercise", "02", "quantize"), "02_quantization has an exercise 'quantize' already; choose another name, "),
        (("unit", "pruning"), "There is a unit 'pruning' already; choose another name."),
    ],
)
def test_what_new_refuses_is_one_sentence(capsys, monkeypatch, arguments, sentence):
    code, out, err = run(capsys, monkeypatch, "new", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {sentence}")
    assert err.count("\n") == 1


def test_demo_into_a_missing_folder(capsys, monkeypatch, tmp_path):
    code, _, err = run(capsys, monkeypatch, "demo", "--page", tmp_path / "no" / "page.html")
    assert code == 1
    assert err == f"Error: demo wants a folder that exists for --page, there is no {tmp_path / 'no'}; choose another.\n"


def test_interrupt_ends_with_130(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(course, "show_progress", interrupted)
    code, _, err = run(capsys, monkeypatch, "progress")
    assert code == 130
    assert err == "\nStopped. What was saved before is kept.\n"


@pytest.mark.parametrize("name", ["02", "02_quantization", "quantization"])
def test_a_unit_may_be_named_short(name):
    assert unit_names.full_name(name) == "02_quantization"


@pytest.mark.parametrize("name", ["", "0", "2", "02_quantizations"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="There is no unit"):
        unit_names.full_name(name)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, posttrain_lab, posttrain_lab.cli.app; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "torchvision", "numba", "triton", "plotly", "nbgrader", "ipywidgets", "onnx", "sklearn"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (["my-course"], "my-course"),
        (["00_start_here/00_start_here.ipynb"], "."),
        (["my-course", "00_start_here/00_start_here.ipynb"], "my-course"),
        (["00_start_here/else.ipynb"], "my-course"),
        (["./02_quantization.ipynb"], ".."),
        ([], "my-course"),
    ],
)
def test_the_learner_s_folder_is_found(made, found, tmp_path, monkeypatch):
    for name in made:
        (tmp_path / name if "." not in name else (tmp_path / name).parent).mkdir(parents=True, exist_ok=True)
        if "." in name:
            (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert str(app.course_root()) == found
