"""The glossary: complete, sorted, with links that lead somewhere, and reachable from every notebook."""

import re
from pathlib import Path

import pytest

from posttrain_lab import checks
from posttrain_lab.glossary import FIRST, TERMS, UNITS, Term, markdown

ROOT = Path(__file__).parent.parent
TWINS = sorted(ROOT.glob("solutions/*/[0-9]*.py"))
OPENING_WORDS = [
    "Post-training",
    "Pruning",
    "Quantization",
    "Fine-tuning",
    "Calibration",
    "Accuracy",
    "Active learning",
    "Adam",
    "Adversarial attack",
    "Adversarial example",
    "Agentic AI",
]
ANCHORS = {term.anchor for term in TERMS}


def test_opening_words_come_first_in_their_order():
    assert [term.name for term in FIRST] == OPENING_WORDS
    assert TERMS[: len(FIRST)] == FIRST


def test_the_rest_is_sorted():
    names = [term.name.casefold() for term in TERMS[len(FIRST) :]]
    assert names == sorted(names)


def test_no_term_comes_twice():
    assert len(ANCHORS) == len(TERMS) == len({term.name.casefold() for term in TERMS})


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.anchor)
def test_term_is_explained_and_its_links_exist(term: Term):
    sentences = re.findall(r"[.!?](?=\s|$)", re.sub(r"et al\.|\be\.g\.", "", term.meaning))
    assert 1 <= len(sentences) <= 4
    assert len(term.meaning) < 450
    assert term.unit in {*UNITS, ""}
    assert set(term.see_also) <= ANCHORS - {term.anchor}
    assert len(set(term.see_also)) == len(term.see_also)


def test_units_are_those_with_exercises():
    assert set(UNITS) == set(checks.UNITS)


def test_page_has_an_anchor_for_each_term_and_no_dead_link():
    page = markdown()
    assert re.findall(r'<a id="(.*?)"></a>', page) == [term.anchor for term in TERMS]
    assert set(re.findall(r"\]\(#(.*?)\)", page)) == ANCHORS
    for unit in re.findall(r"\]\((\w+)/\1\.ipynb\)", page):
        assert unit in UNITS


def test_page_says_honestly_where_nothing_is_practised():
    page = markdown()
    attack = page[page.index("### Adversarial attack") : page.index("### Adversarial example")]
    agentic = page[page.index("### Agentic AI") :]
    assert page.count("No unit of this course practises it") == sum(not term.unit for term in TERMS)
    assert "No unit of this course practises it" in agentic[: agentic.index("\n### ")]
    assert "07_auditing.ipynb" in attack


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.stem)
def test_notebook_links_lead_to_terms(twin: Path):
    text = twin.read_text(encoding="utf-8")
    assert re.findall(r"\]\([^)]*glossary[^)]*\)", text), "the notebook links no term"
    for link in re.findall(r"\]\(([^)]*glossary[^)]*)\)", text):
        page, _, anchor = link.partition("#")
        assert page == "../glossary.md", f"{link}: course/glossary.md is one folder above the unit"
        assert not anchor or anchor in ANCHORS, f"{link}: no such term"


@pytest.mark.parametrize(
    ("name", "anchor"),
    [
        ("Zero point", "zero-point"),
        ("Post-training quantization (PTQ)", "post-training-quantization"),
        ("Int8", "int8"),
    ],
)
def test_anchor(name, anchor):
    assert Term(name, "").anchor == anchor
