"""What loading, corrupting and predicting take for a moment: a few megabytes, however many pictures there are.

Each call runs in a process of its own (a fork of one that has imported everything), between two looks at the peak of its resident
memory, which Linux lets a process set back.
How much a block of pictures takes on its way is the business of torch and of the processor: its convolutions may fill up one channel
to sixteen. So a call runs twice, on half of the pictures and on all: what a block takes is in both peaks, and their difference is
what grows with the pictures.
"""

import os
import sys

import pytest

from tests.forked import forks

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")]
SETUP = """
import gc
from torch import nn
from posttrain_lab import data, measure
from posttrain_lab.calibration.corruptions import blur, rotate
from posttrain_lab.pruning.scores import mean_gradients
"""
RUN = (
    SETUP
    + """
split = data.load_fashion()
pictures, wide = split.test.images, nn.Sequential(nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(28), nn.Flatten())
deep = nn.Sequential(nn.Conv2d(1, 24, 3, padding=1), nn.BatchNorm2d(24), *wide[1:])
def take(images): return {call}
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024 / 1e6
def taken(images):
    gc.collect()
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    kept = take(images)
    return peak() - before
half = len(pictures) // 2
taken(pictures[:half])  # what a first call makes and keeps
print(taken(pictures[:half]))
print(taken(pictures))
"""
)
TEST = 4 * 10_000 * 28 * 28 / 1e6  # megabytes of the test images
SPLIT = 2 * TEST  # of all four parts
FILE = SPLIT / 4 + SPLIT / 4  # their pixels as bytes, and the file, which is smaller
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # glibc keeps no tensor that was freed


@pytest.fixture(scope="module")
def taken():
    """Of a call: megabytes above what was there, for half of the test images and for all."""
    with forks(SETUP, os.environ | GIVEN_BACK) as processes:
        yield lambda call: [float(line) for line in processes.run(RUN.format(call=call))]


@pytest.fixture
def growth(taken):
    """Of a call: megabytes that the second half of the test images adds; a copy of all of them would add TEST / 2."""

    def grown(call):
        half, whole = taken(call)
        return whole - half

    return grown


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("data.corrupt(images, 'blur')", TEST),
        ("rotate(images, 20.0)", TEST),
        ("blur(images, 2.0)", TEST),
        ("measure.predict(wide, images, batch_size=50)", 0),
        ("mean_gradients(deep, split.test.first(len(images) // 20))", 0),
    ],
)
@pytest.mark.portable
def test_no_copy_of_all_pictures_is_made(call, result, growth):
    assert growth(call) <= result / 2 + TEST / 4, "half a copy is in doubt, a copy is not"


@pytest.mark.parametrize(("call", "held"), [("data.load_fashion()", 0), ("data.load_corrupted_fashion('rotation')", TEST)])
def test_loading_holds_one_clean_part_at_most(call, held, taken):
    """They load all pictures whatever they are given; nothing here is a convolution."""
    assert max(taken(call)) <= held + SPLIT + FILE


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("rotate(images, 20.0) + 0 * images.abs()", TEST),
        ("blur(images + 0, 2.0)", TEST),
        ("measure.predict(wide, images, batch_size=len(images) // 10)", 0),
    ],
)
def test_a_copy_of_all_pictures_is_seen(call, result, growth):
    assert growth(call) > result / 2 + TEST / 4


def test_all_clean_parts_in_hand_are_seen(taken):
    assert min(taken("[data.load_fashion(), data.load_corrupted_fashion('rotation')][1]")) > TEST + SPLIT + FILE
