"""The figures of unit 00 show what they were given, with units on the axes, and name bad input."""

import pytest
import torch

from posttrain_lab.plots import start_here as plots


def test_gallery_puts_each_image_and_its_caption_in_its_place():
    images = torch.zeros(3, 1, 4, 6)
    images[2, 0, 1, 2] = 1.0
    made = plots.gallery(images, ["a", "b", "c"], columns=2)
    z = torch.as_tensor(made.data[0].z)
    assert z.shape == (2 * (4 + 16), 2 * 6)
    assert (z > 1).nonzero().tolist() == [[20 + 1, 2]]
    assert z[21, 2] == 255
    assert (z == 1).sum() == 3 * 4 * 6 - 1
    assert not z[4:20].any()
    assert [(note.text, note.x) for note in made.layout.annotations] == [("a", 3), ("b", 9), ("c", 3)]
    assert made.layout.yaxis.autorange == "reversed"


def test_gallery_leaves_its_images_alone():
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    plots.gallery(images, ["a", "b"])
    assert torch.equal(images, before)


def test_samples_are_dots_over_their_size_in_percent():
    made = plots.accuracy_of_samples({10: [0.9, 0.8], 100: [0.85]}, whole=0.875)
    dots, line = made.data
    assert list(zip(dots.x, dots.y, strict=True)) == [(10, 90.0), (10, 80.0), (100, 85.0)]
    assert (list(line.x), list(line.y)) == ([10, 100], [87.5, 87.5])
    assert (made.layout.xaxis.type, list(made.layout.xaxis.tickvals)) == ("log", [10, 100])


def test_intervals_may_leave_the_possible_range_and_show_it():
    made = plots.intervals({"Wilson": (0.7, 0.99), "normal": (0.8, 1.05)}, share=0.925)
    assert list(made.data[1].x) == [80.0, 105.0]
    assert list(made.data[2].x) == [92.5, 92.5]
    assert made.layout.xaxis.range[1] > 105
    assert made.data[0].line.dash != made.data[1].line.dash
    assert sorted(line.x0 for line in made.layout.shapes) == [0, 100]


def test_part_shares_has_a_bar_per_part_and_name():
    made = plots.part_shares(["conv", "linear"], {"your guess": [50, 50], "measured": [20, 80]}, "share of the bytes (%)")
    assert [list(bar.y) for bar in made.data] == [[50, 50], [20, 80]]
    assert made.layout.yaxis.title.text == "share of the bytes (%)"
    assert made.data[0].marker.pattern.shape != made.data[1].marker.pattern.shape


def test_call_times_are_milliseconds_in_the_order_of_the_calls():
    made = plots.call_times([0.5, 0.002, 0.001], (0.001, 0.002, 0.5))
    calls, *lines = made.data
    assert list(calls.y) == [500.0, 2.0, 1.0]
    assert list(calls.x) == [1, 2, 3]
    assert [(line.name, line.y[0]) for line in lines] == [("p20", 1.0), ("p50", 2.0), ("p80", 500.0)]
    assert len({line.line.dash for line in lines}) == 3


@pytest.mark.parametrize(
    "made",
    [
        plots.accuracy_of_samples({10: [0.9]}, 0.9),
        plots.part_shares(["a"], {"measured": [100]}, "share of the time (%)"),
        plots.call_times([0.1], (0.1, 0.1, 0.1)),
        plots.intervals({"Wilson": (0.1, 0.9)}, 0.5),
    ],
    ids=["samples", "shares", "calls", "intervals"],
)
def test_axes_with_quantities_name_them(made):
    assert made.layout.xaxis.title.text
    units = f"{made.layout.xaxis.title.text} {made.layout.yaxis.title.text}"
    assert "(%)" in units or "(ms" in units


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.gallery(torch.zeros(2, 1, 4, 4), ["a"]), "one caption per image, got 2 images, 1 captions"),
        (lambda: plots.gallery(torch.zeros(0, 1, 4, 4), []), "got 0 images"),
        (lambda: plots.accuracy_of_samples({}, 0.9), "at least one sample"),
        (lambda: plots.intervals({}, 0.9), "at least one interval"),
        (lambda: plots.part_shares(["a", "b"], {"guess": [1]}, "%"), "wants 2 shares of guess, one per part, got 1"),
        (lambda: plots.call_times([], (1, 2, 3)), "got 0 and 3"),
        (lambda: plots.call_times([0.1], (1, 2)), "got 1 and 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
