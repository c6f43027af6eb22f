"""The comparison of outputs: what another order of sums changes passes, everything else is found."""

import base64
import copy
import json

import numpy as np
import pytest
from plotly.graph_objects import Figure, Heatmap, Scatter

from tests.course.outputs import SHARE, differences


def printed(text):
    return [{"output_type": "stream", "name": "stdout", "text": text}]


def figure(values, title="error 0.25"):
    """As a notebook stores it: lists stay lists, numpy arrays are written as base64."""
    made = Figure([Scatter(x=[1, 2, 3], y=values), Heatmap(z=[[1, 2], [3, 4]])], {"title": title})
    bundle = {"application/vnd.plotly.v1+json": json.loads(made.to_json())}
    return [{"output_type": "display_data", "data": bundle, "metadata": {}}]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("error 0.073\n", "error 0.074\n"),
        (" 9.99 s, 3 calls", "10.00 s, 3 calls"),
        ("1.05e-05", "1.06e-05"),
        ("12,345.6 bytes", "12,345.7 bytes"),
        ("at 0x7f0123456789", "at 0x7f9876543210"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-0000-0000-0000-000000000000"),
        ("made 2025-01-02 03:04", "made 2026-11-30T01:02:03.5"),
    ],
)
def test_printed_numbers_may_round_the_other_way(stored, shown):
    assert differences(printed(stored), printed(shown)) == []


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("4", "5"),
        ("error 0.073", "error 0.075"),
        ("error 0.073", "error 0.07"),
        ("error 0.073", "Error 0.073"),
        ("0.5 of 3", "0.5 of 4"),
        ("version 2.7.1", "version 2.7.2"),
        ("1e-05", "2e-05"),
        ("one line\n", "one line"),
        ("0.5 0.5", "0.5"),
    ],
)
def test_other_text_is_found(stored, shown):
    assert len(differences(printed(stored), printed(shown))) == 1


def test_where_one_piece_of_text_ends_is_chance():
    assert differences(printed("a\n") + printed("b\n"), printed("a\nb\n")) == []


@pytest.mark.parametrize("kind", [list, np.array, lambda values: np.array(values, np.float32)])
def test_a_figure_may_differ_as_sums_do(kind):
    values = [0.0, -1.5, 17.538463]
    inside, outside = ([one + factor * SHARE * 17.538463 for one in values] for factor in (0.9, 1.2))
    assert differences(figure(kind(values)), figure(kind(inside))) == []
    assert len(differences(figure(kind(values)), figure(kind(outside)))) >= 1


def test_a_long_list_of_a_few_digits_may_move_by_the_last_digit_of_its_largest_number():
    values = [float(f"{number / 7:.3g}") for number in range(90)]  # 12.7 is the largest
    assert differences(figure(values), figure([*values[:1], values[1] + 0.1, *values[2:]])) == []
    assert len(differences(figure(values), figure([*values[:1], values[1] + 0.11, *values[2:]]))) == 1


def test_a_long_list_of_rounded_numbers_may_round_the_other_way():
    values = [round(number / 7, 2) for number in range(40)]  # 5.57 is the largest
    assert differences(figure(values), figure([*values[:-1], round(values[-1] + 0.01, 2)])) == []
    assert len(differences(figure(values), figure([*values[:-1], round(values[-1] + 0.02, 2)]))) == 1
    assert len(differences(figure(values[1:4]), figure([*values[1:3], round(values[3] + 0.01, 2)]))) == 1


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (figure([1, 2, 3]), figure([1, 2, 4])),
        (figure(np.array([1, 2, 3], np.int8)), figure(np.array([1, 2, 4], np.int8))),
        (figure(np.array([1, 2, 3], np.int8)), figure(np.array([1, 2, 3], np.int16))),
        (figure([1.0, 2.0]), figure([1.0, 2.0, 3.0])),
        (figure([1.0, np.nan]), figure([1.0, 2.0])),
        (figure(np.array([1.0, np.nan])), figure(np.array([1.0, 2.0]))),
        (figure([1.0]), figure([1.0], title="error 0.35")),
        (figure([1.0]), printed("1.0")),
        (figure([1.0]), []),
        ([], printed("1.0")),
        ([{"output_type": "error", "ename": "A", "evalue": "b"}], [{"output_type": "error", "ename": "A", "evalue": "c"}]),
        (printed("a"), [{"output_type": "stream", "name": "stderr", "text": "a"}]),
    ],
)
def test_another_figure_or_another_kind_is_found(stored, shown):
    assert differences(stored, copy.deepcopy(stored)) == []
    assert len(differences(stored, shown)) >= 1


def test_nan_stays_nan_and_the_other_numbers_are_compared():
    assert differences(figure(np.array([np.nan, 1.0])), figure(np.array([np.nan, 1.0 + SHARE / 2]))) == []
    assert differences(figure(np.array([np.nan, 1.0])), figure(np.array([np.nan, 1.1])))


def test_ids_of_widgets_are_not_compared():
    def shown(model):
        data = {"application/vnd.jupyter.widget-view+json": {"model_id": model}, "text/plain": "VBox()"}
        return [{"output_type": "display_data", "data": data, "metadata": {}}]

    assert differences(shown("a"), shown("b")) == []


def test_a_picture_that_was_made_later_is_not_compared():
    stored = figure([1.0])
    stored[0]["data"]["text/html"] = "<img src='data:image/png;base64,iVBORw0K'>"
    assert differences(stored, figure([1.0])) == []
    stored[0]["data"]["image/png"] = "iVBORw0K"
    assert differences(stored, figure([1.0])) == []


def test_plotly_writes_arrays_as_bytes():
    """Should plotly write them another way one day, these tests would compare nothing."""
    (trace, _) = figure(np.array([1.0, 2.0]))[0]["data"]["application/vnd.plotly.v1+json"]["data"]
    assert np.array_equal(np.frombuffer(base64.b64decode(trace["y"]["bdata"]), trace["y"]["dtype"]), [1.0, 2.0])
