"""An artefact as a text: there and back, and every way in which a text can be spoiled."""

import base64
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain_lab.projects.edge import Refused
from posttrain_lab.projects.edge.packing import LARGEST_TEXT, artefact_of, content_in, content_of, pack, text_in, unpack
from tests.projects.graphs import SOLUTIONS, solution, write


def test_there_and_back():
    text = pack(SOLUTIONS / "excellent")
    assert len(text.splitlines()) == 1
    assert f">{text}</textarea>" in text._repr_html_()
    assert len(text) < 20_000
    graph, tensors = solution("excellent")
    found = unpack(text)
    assert found.graph == graph
    assert all(torch.equal(found.tensors[name], one) for name, one in tensors.items())
    assert content_in(text) == content_of(SOLUTIONS / "excellent")


def test_what_would_be_refused_is_not_packed(tmp_path):
    graph, tensors = solution("good")
    with pytest.raises(Refused, match="bits is 3"):
        pack(write(tmp_path, graph | {"layers": [graph["layers"][0] | {"bits": 3}, *graph["layers"][1:]]}, tensors))


@pytest.mark.parametrize("text", [None, 3, "", "  ", b"abc", ["a"]])
def test_no_text(text):
    with pytest.raises(Refused, match="there is no artefact's text"):
        unpack(text)


def test_texts_that_are_damaged():
    text = pack(SOLUTIONS / "good")
    bomb = base64.b64encode(zlib.compress(b"\0" * 200_000_000)).decode()
    for wrong, sentence in (
        (text[:-40], "damaged|cut short"),
        (text[: len(text) // 8 * 4], "cut short|damaged"),
        (text + "AAAA", "damaged|holds more"),
        ("!" + text[1:], "damaged"),
        ("a" * (LARGEST_TEXT + 1), "are allowed"),
        (bomb[:LARGEST_TEXT], "cut short, or holds more"),
        (base64.b64encode(zlib.compress(b"")).decode(), "cut short or too long"),
        (base64.b64encode(zlib.compress(b"\xff\xff\xff\xff{}")).decode(), "cut short or too long"),
    ):
        with pytest.raises(Refused, match=sentence):
            unpack(wrong)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_content_is_refused_and_never_fails(content):
    with pytest.raises(Refused):
        artefact_of(content)
    with pytest.raises(Refused):
        unpack(base64.b64encode(content).decode() or "x")


def test_a_cell_is_read_and_never_run():
    assert text_in('import os\nartefact = """\nab\ncd\n"""\n') == "\nab\ncd\n"
    assert text_in('def hand_in():\n    artefact = "one"\n    return artefact') == "one"
    for source in (
        "artefact = open('x').read()",
        "other = 'a'",
        "artefact = (",
        "",
        'artefact = "one"\nartefact = "two"',
        "artefact = " + "(" * 5000,
        "-" * 90_000 + "1",
        "artefact = 1\n" + "#" * 900_000,
    ):
        assert text_in(source) is None
