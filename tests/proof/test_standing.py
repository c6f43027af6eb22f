"""The standing proof: what it complains of, when a record is out of date, and what the committed records say."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from posttrain_lab import checks
from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.proof import equivalents, record, report
from posttrain_lab.proof.all_saboteurs import SABOTEURS
from posttrain_lab.proof.equivalents import stale
from posttrain_lab.proof.library_use import library_use
from posttrain_lab.proof.mutants import mutants
from posttrain_lab.proof.record import Basis, Record, is_stale, keep, kept, solved
from posttrain_lab.proof.standing import LEGAL, Findings
from posttrain_lab.proof.trials import Judged

SOLUTION = "def accuracy(logits, labels):\n    return logits.argmax(1).eq(labels).double().mean().item()\n"
ALL = [(unit, name) for unit in UNITS for name in checks.exercises(unit)]


@pytest.fixture
def accuracy():
    return checks.exercises("00_start_here")["accuracy"]


def findings(exercise, passed=(), idle=(), survivors=()):
    names = ["one row", "empty", "int32", *passed]
    judged = [Judged(exercise.name, name, name in passed or name in idle, "", name not in idle) for name in names]
    return Findings(exercise, SOLUTION, 12, judged, list(survivors), tried=4)


def test_nothing_wrong_passes_without_a_complaint(accuracy):
    assert findings(accuracy).complaints() == []
    assert findings(accuracy, idle=["empty"]).complaints() == []


def test_a_saboteur_that_passes_is_a_complaint_unless_it_is_legal(accuracy):
    found = findings(accuracy, passed=["ties"])
    assert found.complaints() == [
        "accuracy: the saboteur `ties` passes; write a case, or declare it legal with the page's words."
    ]
    allowed = replace(accuracy, legal={"ties": "either of two equal logits"})
    assert findings(allowed, passed=["ties"]).complaints() == []


def test_a_legal_saboteur_that_fails_or_never_acts_is_out_of_date(accuracy):
    allowed = replace(accuracy, legal={"empty": "there is at least one row"})
    for found in (findings(allowed), findings(allowed, idle=["empty"])):
        assert found.complaints() == [
            "accuracy: the saboteur `empty` is declared legal and does not pass; take it out of `legal`."
        ]


def test_more_than_three_legal_saboteurs_are_too_many(accuracy):
    names = ["a", "b", "c", "d"]
    found = findings(replace(accuracy, legal=dict.fromkeys(names, "words")), passed=names)
    assert found.complaints() == [f"accuracy: 4 saboteurs are declared legal; {LEGAL} are allowed."]


def test_a_mutant_that_passes_is_a_complaint(accuracy):
    assert "the mutant `a + b -> a - b` passes" in findings(accuracy, survivors=["a + b -> a - b"]).complaints()[0]


def test_equivalents_need_a_reason_and_a_mutant(accuracy, tmp_path, monkeypatch):
    monkeypatch.setattr(equivalents, "FOLDER", tmp_path)
    file = tmp_path / "00_start_here.toml"
    text = mutants(SOLUTION)[0].text
    file.write_text(f'[accuracy]\n"{text}" = "One row has one class."\n"gone -> away" = "It was right once."\n')
    entries = equivalents.equivalents("00_start_here", "accuracy")
    assert stale(entries, mutants(SOLUTION)) == ["gone -> away"]
    assert findings(accuracy).complaints() == ["accuracy: no mutant `gone -> away` exists any more; take it out of equivalents/."]
    file.write_text(f'[accuracy]\n"{text}" = ""\n')
    with pytest.raises(ValueError, match="write in a sentence why this mutant is right too; it says ''"):
        equivalents.equivalents("00_start_here", "accuracy")


def test_records_come_back_as_they_were_kept(accuracy, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RECORDS", tmp_path)
    kept_now = findings(accuracy, idle=["empty"]).record()
    assert kept_now == Record(record.basis(accuracy, SOLUTION), 12, 2, (), ("empty",), len(mutants(SOLUTION)), 4, 0)
    keep("00_start_here", {"accuracy": kept_now, "gone": kept_now})
    assert kept("00_start_here") == {"accuracy": kept_now}
    assert not is_stale(accuracy, SOLUTION)


@pytest.mark.parametrize("which", ["engine", "exercise", "items"])
def test_a_record_is_out_of_date_when_any_of_its_texts_changed(accuracy, tmp_path, monkeypatch, which):
    monkeypatch.setattr(record, "RECORDS", tmp_path)
    assert is_stale(accuracy, SOLUTION)
    now = findings(accuracy).record()
    keep("00_start_here", {"accuracy": replace(now, basis=replace(now.basis, **{which: "0"}))})
    assert is_stale(accuracy, SOLUTION)


def test_the_hashes_follow_the_texts_they_name(accuracy, tmp_path, monkeypatch):
    """A change in the exercise's file, in a shared one, in the solution or in the engine counts; one in another exercise does not."""
    other = checks.exercises("00_start_here")["latency"]
    before = record.basis(accuracy, SOLUTION), record.basis(other, SOLUTION)
    assert record.basis(accuracy, SOLUTION + "#").exercise != before[0].exercise
    changed, texts = set[str](), record._texts

    def with_changes(paths):
        return [text + ("changed" if text.partition("\n")[0] in changed else "") for text in texts(paths)]

    monkeypatch.setattr(record, "_texts", with_changes)
    for name, both in (("accuracy.py", False), ("__init__.py", True), ("manners.py", True), ("regions.py", True)):
        record._of_files.cache_clear()
        changed.clear()
        changed.add(name)
        after = record.basis(accuracy, SOLUTION), record.basis(other, SOLUTION)
        assert after[0] != before[0], name
        assert (after[1] != before[1]) == both, name
    record._of_files.cache_clear()


def test_the_report_counts_and_names_regions_without_a_case(accuracy, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RECORDS", tmp_path)
    one = Record(Basis("", "", ""), 12, 70, ("ties",), ("wrong where empty", "hook left on a network"), 30, 10, 2)
    keep("00_start_here", {"accuracy": one, "latency": one})
    assert f"| accuracy | 12 | 70 | 1 | 8 | 2 | 20 | {len(accuracy.mistakes)} | empty |" in report.proof_page()
    assert "| 00 Start here | 2 of 4 | 24 | 140 | 2 | 16 | 4 | 40 | " in report.readme_rows()


def test_the_pages_show_the_records():
    """Where this fails: `posttrain-lab prove --changed`, and commit what it writes."""
    root = find_course().root
    assert (root / "docs" / "proof.md").read_text(encoding="utf-8") == report.proof_page()
    assert f"{report.BEGIN}\n{report.readme_rows()}\n{report.END}" in (root / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("unit", "name"), ALL)
def test_what_is_declared_legal_is_a_saboteur_and_quotes_the_page(unit, name):
    exercise = checks.exercises(unit)[name]
    page = _page(unit)
    known = {one.name for one in (*SABOTEURS, *library_use(exercise))}
    assert set(exercise.legal) <= known
    assert len(exercise.legal) <= LEGAL
    assert [words for words in exercise.legal.values() if _plain(words) not in page] == []


@pytest.mark.parametrize("unit", UNITS)
def test_every_record_is_up_to_date(unit):
    """Where this fails: `posttrain-lab prove --changed`, and commit what it writes. (An exercise may still lack a record.)"""
    records = kept(unit)
    assert [one.name for one, solution in solved(unit) if one.name in records and is_stale(one, solution)] == []


def test_the_share_of_exercises_that_each_saboteur_passes(record_property):
    """Printed at the end of the run; more than a third would mean that the kind is not looked at. Half the pages leave the memory's order free."""
    passed = Counter(name for unit in UNITS for one in kept(unit).values() for name in one.legal)
    for name, count in sorted(passed.items()):
        record_property("unit cost", f"saboteur `{name}`: legal in {count} of {len(ALL)} exercises")
    assert passed.pop("not contiguous", 0) <= len(ALL) / 2
    assert max(passed.values(), default=0) <= len(ALL) / 3


@cache
def _page(unit: str) -> str:
    return _plain("\n".join(cell.source for cell in read_notebook(find_course().source(unit)).cells))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)
