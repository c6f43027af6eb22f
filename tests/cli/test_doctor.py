"""`doctor` says what is here, what is missing and how to get it."""

import io
import re

import pytest
import torch
from rich.console import Console

from posttrain_lab.cli import doctor
from posttrain_lab.data import files
from posttrain_lab.measure import device_name


def shown(findings):
    console = Console(file=io.StringIO(), width=200)
    code = doctor.print_findings(findings, console)
    return code, console.file.getvalue()


def test_this_machine_has_what_is_needed():
    findings = doctor.examine()
    code, text = shown(findings)
    assert code == 0, text
    for word in ("Python", "torch", "cores, torch uses", "SIMD", "memory", "GPU", "nbgrader in Lab", "browser", "data", "triton"):
        assert word in text


@pytest.mark.parametrize(("version", "state"), [((3, 10), "missing"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "missing")])
def test_python_versions(version, state):
    finding = doctor.python_finding(version)
    assert finding.state == state
    assert bool(finding.remedy) == (state == "missing")


def test_missing_package_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "numba" else "1.0")
    code, text = shown(doctor.examine())
    assert code == 1
    assert "Missing: numba." in text
    assert "pip install" in text


def test_optional_package_is_a_note_only(monkeypatch):
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "onnxruntime" else "1.0")
    findings = doctor.package_findings()
    assert {f.what: f.state for f in findings}["onnxruntime"] == doctor.NOTE
    assert shown(findings)[0] == 0


def test_damaged_data_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "FILES", tmp_path)
    monkeypatch.setattr(files, "checksums", lambda: {"fashion_mnist.npz": "0"})
    finding = doctor.file_findings()[0]
    assert finding.state == doctor.MISSING
    assert finding.found == "1 of 1 files missing or damaged"
    assert "fashion_mnist.npz is missing" in finding.remedy


def test_data_and_processor_have_a_line_each():
    found = {finding.what: finding.found for finding in doctor.examine()}
    assert found["data"].startswith(f"{len(files.checksums())} files, ")
    assert not set(files.checksums()) & set(found)
    assert found["CPU"].startswith(f"{device_name(torch.device('cpu'))}, ")


def test_eighty_columns_are_enough_for_a_line_a_finding_and_one_for_what_to_do():
    said = "14 files, 11.9 MB, checksums right, and some more"
    findings = [doctor.Finding("data", said), doctor.Finding("nbgrader in Lab", "no", doctor.NOTE, said)]
    console = Console(file=io.StringIO(), width=80)
    doctor.print_findings(findings, console)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert [re.split(r"  +", line) for line in lines[4:7]] == [["ok", "data", said], ["note", "nbgrader in Lab", "no"], [said]]


def test_every_missing_thing_has_a_remedy():
    assert all(f.remedy for f in doctor.examine() if f.state != doctor.GOOD)


def test_the_sandbox_is_told_and_only_a_note_where_there_is_none(monkeypatch):
    from posttrain_lab.grading.sandbox import available

    monkeypatch.setattr(available, "no_sandbox", lambda: "This machine allows no sandbox: grade as root.")
    finding = doctor.sandbox_finding()
    assert (finding.state, finding.found) == (doctor.NOTE, "none")
    assert finding.remedy == "Only to grade. This machine allows no sandbox: grade as root."
    monkeypatch.setattr(available, "no_sandbox", lambda: "")
    monkeypatch.setattr(available, "described", lambda: "namespaces")
    assert doctor.sandbox_finding() == doctor.Finding("sandbox", "namespaces")
