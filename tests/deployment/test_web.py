"""The page: made from safe parts, exact in a real browser with and without WebAssembly, offline, on a narrow screen, in the dark."""

import os

import numpy as np
import pytest
import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.engine import node, run_engine
from posttrain_lab.deployment.operations import expected, input_codes, operations
from posttrain_lab.deployment.web import PageText, to_html
from tests.deployment.networks import random_network, shipped

CLASSES = tuple(f"class {number}" for number in range(10))
TEXT = PageText("Shoes & </script> shirts", CLASSES, "facts < & >", 1.3)


def pictures(count):
    return (load_fashion().validation.images[:count] * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def page_of(name, **more):
    return to_html(operations(shipped(name)), TEXT, pictures(3), **more)


def test_the_page_asks_nobody_for_anything():
    page = page_of("fashion_cnn")
    outside = page.replace('href="data:,"', "")
    assert not any(
        word in outside for word in ("http://", "https://", "href=", "src=", "import(", "fetch(", "XMLHttpRequest", "//cdn")
    )
    assert page.count("</script>") == 1
    assert "Shoes &amp; &lt;/script&gt; shirts" in page
    assert len(page.encode()) < 1.2 * 173_606


@pytest.mark.parametrize(
    ("text", "examples", "named"),
    [
        (PageText("t", CLASSES[:9]), pictures(1), "wants 10 classes"),
        (PageText("t", CLASSES, "", 0.0), pictures(1), "positive temperature"),
        (TEXT, pictures(1)[:, :14], "wants examples"),
    ],
)
def test_parts_that_do_not_fit(text, examples, named):
    with pytest.raises(ValueError, match=named):
        to_html(operations(shipped("fashion_cnn")), text, examples)


def test_a_network_for_no_pictures():
    network, _ = random_network(0)  # two channels
    with pytest.raises(ValueError, match="pictures of 1 or 3 channels"):
        to_html(operations(network), TEXT, pictures(1))


needs_node = pytest.mark.skipif(node() is None and not os.environ.get("CI"), reason="no node here: install nodejs to run this")


@needs_node
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pool", [True, False])
def test_random_networks(seed, pool):
    network, images = random_network(seed)
    program = operations(network, pool)
    found = run_engine(program, input_codes(program, images).numpy())
    assert set(found) == {"JavaScript", "WebAssembly"}
    for result in found.values():
        assert np.array_equal(result, expected(network, images).numpy())
