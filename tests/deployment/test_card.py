"""A card in two forms with the same words; a file that is no longer the one it describes is told."""

import re
from html import unescape

import pytest

from posttrain_lab.deployment.card import Card, Section, card_of, check_artefact, write_card
from posttrain_lab.deployment.deployable import from_program
from posttrain_lab.deployment.operations import operations
from tests.deployment.networks import shipped

ODD = Card("a & b", (Section("One <two>", ("x | y",), (("p | q", "<b>"),)), Section("Rest", ("first", "second"))))


@pytest.fixture
def artefact(tmp_path):
    for name in ("a.c", "a.h"):
        (tmp_path / name).write_text(f"content of {name}")
    made = from_program("a", operations(shipped("fashion_cnn")), 2)
    write_card(card_of(made, "c", [tmp_path / "a.c", tmp_path / "a.h"], [("accuracy", "0.9")]), tmp_path / "a.c")
    return tmp_path / "a.c"


def words(text):
    return re.findall(r"\w+", text)


def test_two_forms_say_the_same(artefact):
    markdown = artefact.with_name("a.c.card.md").read_text(encoding="utf-8")
    page = artefact.with_name("a.c.card.html").read_text(encoding="utf-8")
    body = unescape(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))
    table = markdown.replace("| what | value |", "")
    assert words(body) == words(table)
    assert "accuracy" in words(body)
    assert not re.search(r"https?:|src=", page)


def test_what_markdown_and_html_would_read_as_their_own(tmp_path):
    markdown, page = (path.read_text(encoding="utf-8") for path in write_card(ODD, tmp_path / "a"))
    assert "| p \\| q | <b> |" in markdown
    assert "<b>" not in page
    assert "a &amp; b" in page
    assert "- first\n- second\n" in markdown


def test_what_is_not_known_is_said(artefact):
    markdown = artefact.with_name("a.c.card.md").read_text(encoding="utf-8")
    assert "Not known: the program came from a file." in markdown
    assert "Not known: the program has none." in markdown


def test_files_as_they_were(artefact):
    check_artefact(artefact)


@pytest.mark.parametrize("name", ["a.c", "a.h"])
def test_a_damaged_file(artefact, name):
    artefact.with_name(name).write_text("content of b.c")
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        check_artefact(artefact)


def test_a_header_that_is_missing(artefact):
    artefact.with_name("a.h").unlink()
    with pytest.raises(ValueError, match=r"a.h is damaged"):
        check_artefact(artefact)


def test_no_file_no_card_and_a_card_of_another(artefact):
    artefact.with_name("b.c").write_text("")
    with pytest.raises(FileNotFoundError, match=r"finds no .*b.c.card.md"):
        check_artefact(artefact.with_name("b.c"))
    artefact.with_name("b.c.card.md").write_text(artefact.with_name("a.c.card.md").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match=r"has no SHA-256 of b.c"):
        check_artefact(artefact.with_name("b.c"))
    artefact.unlink()
    with pytest.raises(FileNotFoundError, match=r"finds no .*a.c;"):
        check_artefact(artefact)
