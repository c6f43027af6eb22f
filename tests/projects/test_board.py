"""The board: one hidden run a day, a row that changes only for a better score beyond chance, nothing lost, and its page."""

import csv
import json
import shutil
import sys
from dataclasses import replace

import nbformat
import pytest
import torch

from posttrain_lab.cli import app
from posttrain_lab.cli import board as command
from posttrain_lab.data import Dataset, load_fashion
from posttrain_lab.projects.board import Board, Scored
from posttrain_lab.projects.board_page import BoardText, write_board
from posttrain_lab.projects.edge import on_board
from posttrain_lab.projects.edge.packing import pack
from tests.course.lab import CHROMIUM, browser_page
from tests.projects.graphs import SOLUTIONS, solution, write

NOISE = torch.rand(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def score(content):
    """The content is the mean; every instance has the same noise, turned round by the content's second word."""
    mean, *turned = content.decode().split()
    if mean == "wrong":
        raise ValueError("not scored")
    return Scored(float(mean) + (NOISE.flip(0) if turned else NOISE), (("accuracy", "90 %"),))


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path / "board", "secret 1", "abc", "2026-12-01")


def standing(rows, name):
    return next(one for one in rows if one.name == name)


def test_first_scores_stand_and_share_places(board):
    rows = board.update({"a": b"0.3", "b": b"0.1", "c": b"0.1", "d": "nothing handed in", "e": b"wrong"}, score)
    assert [(one.name, one.place) for one in rows] == [("b", 1), ("c", 1), ("a", 3), ("d", 0), ("e", 0)]
    assert standing(rows, "d").remark == "nothing handed in"
    assert standing(rows, "e").remark == "refused: not scored"
    assert standing(rows, "a").low < standing(rows, "a").score < standing(rows, "a").high
    assert standing(rows, "a").commit == "abc"


def test_one_run_a_day_and_a_refusal_costs_none(board):
    board.update({"a": b"0.3"}, score)
    waiting = board.update({"a": b"0.1"}, score)[0]
    assert "one hidden run a day" in waiting.remark
    assert waiting.score == pytest.approx(0.3 + NOISE.mean().item())
    tomorrow = replace(board, day="2026-12-02")
    assert tomorrow.update({"a": b"wrong"}, score)[0].remark.startswith("refused")
    assert tomorrow.update({"a": b"0.1"}, score)[0].score == pytest.approx(0.1 + NOISE.mean().item())
    free = replace(board, folder=board.folder / "public", once_a_day=False)
    free.update({"a": b"0.3"}, score)
    assert free.update({"a": b"0.1"}, score)[0].remark == ""


def test_a_row_changes_only_beyond_chance(board):
    before = board.update({"a": b"0.3"}, score)[0]
    luck = replace(board, day="2026-12-02").update({"a": b"0.29 turned"}, score)[0]
    assert luck.remark.startswith("the last run does not count: 0.0100 better (-")
    assert (luck.sha256, luck.score, luck.day) == (before.sha256, before.score, "2026-12-02")
    worse = replace(board, day="2026-12-03").update({"a": b"0.4"}, score)[0]
    assert "worse" in worse.remark
    assert worse.score == before.score
    small = replace(board, day="2026-12-04").update({"a": b"0.299"}, score)[0]  # the same instances: a small gain is sure
    assert small.remark == ""
    assert small.score < before.score
    assert replace(board, day="2026-12-05").update({"a": "refused: damaged"}, score)[0].score == small.score


def test_what_was_scored_is_not_scored_again(board):
    board.update({"a": b"0.3", "b": b"0.2"}, score)

    def never(content):
        raise AssertionError(content)

    rows = replace(board, day="2026-12-02").update({"a": b"0.3", "b": b"0.2"}, never)
    assert [one.place for one in rows] == [1, 2]


def test_an_interrupted_board_goes_on(board):
    def tired(content):
        if content == b"0.2":
            raise KeyboardInterrupt
        return score(content)

    with pytest.raises(KeyboardInterrupt):
        board.update({"a": b"0.3", "b": b"0.2"}, tired)
    asked = []
    board.update({"a": b"0.3", "b": b"0.2"}, lambda content: asked.append(content) or score(content))
    assert asked == [b"0.2"]


def test_other_instances_score_everybody_anew(board):
    board.update({"a": b"0.3"}, score)
    assert replace(board, instances="secret 2").update({"a": b"0.5"}, score)[0].remark == ""


def test_a_damaged_board_is_a_sentence(board):
    board.update({"a": b"0.3"}, score)
    kept = next((board.folder / "kept").iterdir())
    kept.write_bytes(b"x")
    with pytest.raises(ValueError, match="is missing or damaged"):
        board.update({"a": b"0.3"}, score)
    (board.folder / "board.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"board.json is damaged"):
        board.update({"a": b"0.3"}, score)


@pytest.fixture
def class_folder(tmp_path):
    """A folder as submitted/: artefacts, a notebook, and what goes wrong."""
    root = tmp_path / "submitted"
    for name in ("naive", "good"):
        shutil.copytree(SOLUTIONS / name, root / name)
    text = pack(SOLUTIONS / "excellent")
    cell = nbformat.v4.new_code_cell(f'artefact = """\n{text}\n"""', metadata={"nbgrader": {"grade_id": "hand_in"}})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise SystemExit"), cell])
    for name in ("excellent", "two cells"):
        (root / name / "12_project_edge").mkdir(parents=True)
        nbformat.write(book, root / name / "12_project_edge" / "12_project_edge.ipynb")
        book.cells.append(nbformat.v4.new_code_cell("artefact = 1", metadata={"nbgrader": {"grade_id": "hand_in"}}))
    (root / "empty").mkdir()
    (root / "broken").mkdir()
    (root / "broken" / "12_project_edge.ipynb").write_text('{"cells": 3}', encoding="utf-8")
    graph, tensors = solution("good")
    write(root / "=spoiled()", graph | {"format": "mine"}, tensors)
    return root


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["posttrain-lab", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        app.main()
    printed = capsys.readouterr()
    return stopped.value.code or 0, printed.out, printed.err


@pytest.fixture
def few(monkeypatch):
    """One instance of 300 photographs, so that the command takes seconds."""
    whole = on_board.scorer
    monkeypatch.setattr(on_board, "scorer", lambda clothes, secret: whole(clothes, secret, 1, 300))


def test_the_command_scores_a_class(tmp_path, capsys, monkeypatch, class_folder, few):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, monkeypatch, "board", "12", class_folder)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    with (tmp_path / "board" / "board.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert list(rows)[:3] == ["excellent", "good", "naive"]
    assert [rows[name]["points"] for name in ("excellent", "naive")] == ["20.0", "0.0"]
    assert "nothing handed in" in rows["empty"]["remark"]
    assert "cannot be read" in rows["broken"]["remark"]
    assert "has 2 cells 'hand_in'" in rows["two cells"]["remark"]
    assert "format is mine" in rows["'=spoiled()"]["remark"]
    assert (tmp_path / "project_secret.txt").stat().st_mode & 0o077 == 0
    assert (tmp_path / "project_secret.txt").read_text(encoding="utf-8").strip() not in (
        tmp_path / "board" / "board.html"
    ).read_text(encoding="utf-8")
    again = run(capsys, monkeypatch, "board", "12_project_edge", class_folder, "--public", "--output", tmp_path / "public")
    assert again[0] == 0
    with (tmp_path / "public" / "board.csv").open(encoding="utf-8", newline="") as file:
        assert {row["seed"] for row in csv.DictReader(file)} == {"public"}


def test_what_the_command_cannot_do(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, sentence in (
        (("13", tmp_path), "board wants the project 12_project_edge"),
        (("12", tmp_path / "nowhere"), "board finds no entries"),
        (("12", tmp_path), "board finds no entries"),
    ):
        code, _, err = run(capsys, monkeypatch, "board", *arguments)
        assert code == 1
        assert sentence in err
    (tmp_path / "one").mkdir()
    code, _, err = run(capsys, monkeypatch, "board", "12", tmp_path, "--clothes", tmp_path)
    assert code == 1
    assert "unseen_fashion finds no train-images-idx3-ubyte.gz" in err


def test_clothes_decide_the_instances():
    part = load_fashion().validation
    other = Dataset(part.images.flip(0), part.labels, part.classes)
    named = {on_board.instances(part, "a"), on_board.instances(part, "b"), on_board.instances(other, "a")}
    assert len(named) == 3
    assert not any("secret a" in one for one in named)


def test_the_commit_or_the_version():
    assert command.commit()


@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(tmp_path, board, width):
    entries = {f"team {n}": f"{0.2 + n / 10} {'turned' * (n % 2)}".encode() for n in range(5)}
    rows = board.update(entries | {"<b>bold</b>": "refused: <script>alert(1)</script>"}, score)
    text = BoardText("Edge project: board", "Brier score", ("A sentence.",), "public", {"team 0": 20.0})
    page_file, _ = write_board(tmp_path, rows, text)
    with browser_page(tmp_path / "profile") as page:
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(page_file.as_uri())
        assert page.locator("tbody tr").count() == 6
        assert page.locator("tbody th").last.inner_text() == "<b>bold</b>"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        spans = page.locator(".range span").evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
        assert len(spans) == 5
        assert min(spans) > 0
        assert not said


def test_a_page_without_scores(tmp_path, board):
    rows = board.update({"a": "nothing handed in"}, score)
    text = BoardText("Board", "Brier score", (), "public")
    page, table = write_board(tmp_path, rows, text)
    assert "nothing handed in" in page.read_text(encoding="utf-8")
    assert json.dumps(table.read_text(encoding="utf-8")).count("points") == 0
