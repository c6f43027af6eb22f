"""wabt assembles the page's kernel to the bytes that are shipped."""

import os
import shutil

import pytest

from posttrain_lab.making.gemm_wasm import MADE, assembled


@pytest.mark.embedded
@pytest.mark.skipif(
    shutil.which("wat2wasm") is None and not os.environ.get("CI"), reason="no wat2wasm here: apt-get install wabt"
)
def test_the_text_is_assembled_to_the_same_bytes():
    assert assembled() == MADE.read_bytes()
