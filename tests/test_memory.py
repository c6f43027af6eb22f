"""What loading, corrupting and predicting take for a moment: a few megabytes, however many pictures there are.

Each call runs in a process of its own, between two looks at the peak of its resident memory, which Linux lets a process set back.
"""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")]
RUN = """
import gc, torch
from torch import nn
from posttrain_lab import data, measure
from posttrain_lab.calibration.corruptions import blur, rotate
torch.set_num_threads(1)
def peak(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
from posttrain_lab.pruning.scores import mean_gradients
split = data.load_fashion()
images, wide = split.test.images, nn.Sequential(nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(28), nn.Flatten())
deep = nn.Sequential(nn.Conv2d(1, 24, 3, padding=1), nn.BatchNorm2d(24), *wide[1:])
def take(images): return {call}
take(images[:300])
gc.collect()
open("/proc/self/clear_refs", "w").write("5")
before = peak()
kept = take(images)
print((peak() - before) / 1e6)
"""
TEST = 4 * 10_000 * 28 * 28 / 1e6  # megabytes of the test images
SPLIT = 2 * TEST  # of all four parts
BLOCKS = 0.7 * TEST  # what 500 pictures take on their way (a grid, a margin), and what the allocator keeps of it


def taken(call):
    """Megabytes above what was there."""
    done = subprocess.run([sys.executable, "-c", RUN.format(call=call)], capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        ("data.load_fashion()", SPLIT),
        ("data.load_corrupted_fashion('rotation')", SPLIT + TEST),  # a clean part in hand
        ("data.corrupt(images, 'blur')", TEST),
        ("rotate(images, 20.0)", TEST),
        ("blur(images, 2.0)", TEST),
        ("measure.predict(wide, images, batch_size=50)", 0),
        ("mean_gradients(deep, split.test.first(len(images) // 20))", 0),
    ],
)
def test_no_copy_of_all_pictures_is_made(call, allowed):
    assert taken(call) <= allowed + BLOCKS


def test_a_copy_of_all_pictures_is_seen():
    assert taken("rotate(images, 20.0) + 0 * images.abs()") > TEST + BLOCKS
