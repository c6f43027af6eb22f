"""A release into a learner's notebook: whatever both did, no line that the learner wrote is lost."""

import random

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from posttrain_lab.cli.merge import merged, same_release

EXERCISE = {"nbgrader": {"grade_id": "f", "solution": True, "grade": False, "checksum": "new"}}
CHECK = {"nbgrader": {"grade_id": "test_f", "solution": False, "grade": True, "points": 2}}


def book(**sources: str):
    """A notebook from ids and sources; f is an exercise, test_f its check."""
    kinds = {"f": EXERCISE, "test_f": CHECK}
    return new_notebook(cells=[new_code_cell(text, id=name, metadata=kinds.get(name, {})) for name, text in sources.items()])


def shown(notebook) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells}


def test_the_release_comes_in_and_the_answer_stays():
    base = book(a="old", f="...", test_f="check(f)", z="z")
    new = book(a="new", f="...", test_f="check(f, 2)", more="more", z="z")
    mine = book(a="old", f="return 1", test_f="check(f)", z="z", own="mine")
    result = merged(base, new, mine)
    assert list(shown(result.notebook).items()) == [
        ("a", "new"),
        ("f", "return 1"),
        ("test_f", "check(f, 2)"),
        ("more", "more"),
        ("z", "z"),
        ("own", "mine"),
    ]
    assert (result.new, result.changed, result.both) == (1, 2, ())


def test_own_cells_stay_below_the_cell_they_stood_below():
    base = book(a="a", b="b", c="c")
    mine = book(own_0="0", a="a", own_1="1", own_2="2", b="b", c="c")
    result = merged(base, book(a="a", new="new", c="c"), mine)
    assert list(shown(result.notebook)) == ["own_0", "a", "own_1", "own_2", "new", "c"]


def test_a_cell_that_the_release_drops_goes_unless_the_learner_changed_it():
    base = book(a="a", b="b", c="c")
    result = merged(base, book(a="a"), book(a="a", b="b", c="changed"))
    assert shown(result.notebook) == {"a": "a", "c": "changed"}


def test_a_deleted_cell_comes_back_only_when_it_changed():
    base = book(a="a", b="b", c="c", test_f="check(f)")
    result = merged(base, book(a="a", b="b", c="C", test_f="check(f)"), book(a="a"))
    assert shown(result.notebook) == {"a": "a", "c": "C", "test_f": "check(f)"}


def test_outputs_and_the_release_s_metadata():
    base, new, mine = book(a="a", f="..."), book(a="a", f="...", n="n"), book(a="a", f="return 1")
    mine.cells[0].execution_count, mine.cells[1].metadata = (
        3,
        {"nbgrader": {"grade_id": "f", "checksum": "old"}, "collapsed": True},
    )
    mine.metadata["kernelspec"] = {"name": "mine"}
    result = merged(base, new, mine).notebook
    assert result.cells[0].execution_count == 3
    assert result.cells[1].metadata == {**EXERCISE, "collapsed": True}
    assert result.metadata["kernelspec"] == {"name": "mine"}
    assert mine.cells[1].metadata["nbgrader"]["checksum"] == "old"  # the learner's notebook is not changed in place


def test_both_changed():
    base, mine = book(a="a", f="..."), book(a="mine", f="return 1")
    result = merged(base, book(a="new", f="...", n="n"), mine)
    assert shown(result.notebook) == {"a": "mine", "f": "return 1", "n": "n"}
    assert result.both == ("a",)
    assert merged(base, book(a="mine", f="..."), mine).both == ()  # the same change


@pytest.mark.parametrize("damage", ["twice", "another"])
def test_cells_that_cannot_be_told_apart_are_refused(damage):
    mine = book(a="a", b="b") if damage == "twice" else book(x="a")
    mine.cells[-1].id = "a" if damage == "twice" else "x"
    with pytest.raises(ValueError, match=r"two cells of the notebook have one name|no cell of the release"):
        merged(book(a="a", b="b"), book(a="A"), mine)


def test_same_release_sees_past_answers_and_own_cells():
    new = book(a="a", f="...")
    assert same_release(new, book(a="a", f="return 1", own="mine"))
    assert not same_release(new, book(a="other", f="return 1"))
    assert not same_release(new, book(f="return 1"))


@pytest.mark.parametrize("seed", range(200))
def test_no_line_of_the_learner_s_is_lost_and_every_new_line_of_an_untouched_cell_arrives(seed):
    """Both edit at random: change, delete, insert, move. A locked check is the only cell whose text is the release's in any case."""
    draw = random.Random(seed)
    names = [f"c{number}" for number in range(8)] + ["f", "test_f"]
    base = {name: f"{name} released" for name in names}

    def edited(who: str) -> dict[str, str]:
        cells = [
            (name, f"{name} by {who}" if draw.random() < 0.3 else text) for name, text in base.items() if draw.random() < 0.8
        ]
        cells += [(f"{who}{number}", f"cell of {who} {number}") for number in range(draw.randrange(4))]
        if draw.random() < 0.5:
            draw.shuffle(cells)
        return dict(cells)

    mine, new = {**edited("learner"), "c0": "c0 by learner"}, edited("release")
    result = shown(merged(book(**base), book(**new), book(**mine)).notebook)
    wrote = {name: text for name, text in mine.items() if text != base.get(name) and name != "test_f"}
    assert {name: result.get(name) for name in wrote} == wrote
    arrive = {name: text for name, text in new.items() if text != base.get(name) and (name not in wrote)}
    assert {name: result.get(name) for name in arrive} == arrive
    assert set(result) <= set(mine) | set(new)
    assert [name for name in result if name in new] == [name for name in new if name in result]
