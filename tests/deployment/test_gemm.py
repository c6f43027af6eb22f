"""The page's kernel, gemm.wasm, is the one that gemm.wat was assembled to: neither may change alone."""

from posttrain_lab.making.gemm_wasm import SUMS, sums


def test_text_and_code_belong_together():
    assert sums() == SUMS.read_text(encoding="utf-8"), "run: python -m posttrain_lab.making.gemm_wasm"
