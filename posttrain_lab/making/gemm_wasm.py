"""Make files/gemm.wasm, the kernel of a network's page, from gemm.wat; write the checksums of both, which a test compares.

    python -m posttrain_lab.making.gemm_wasm

It needs wat2wasm of wabt, in Debian's package of that name, or `npm install wabt`. `pytest -m embedded` makes it again and compares.
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from posttrain_lab.deployment import web
from posttrain_lab.whole_files import write_whole

SOURCE, MADE, SUMS = web.FILES / "gemm.wat", web.FILES / "gemm.wasm", web.FILES / "gemm.sha256"


def assembled(source: Path = SOURCE) -> bytes:
    """The WebAssembly of a text. Raises FileNotFoundError without wat2wasm."""
    command = shutil.which("wat2wasm")
    if command is None:
        raise FileNotFoundError("gemm_wasm finds no wat2wasm; run: apt-get install wabt, or npm install wabt")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "gemm.wasm"
        subprocess.run([command, str(source), "-o", str(target)], check=True)
        return target.read_bytes()


def sums() -> str:
    """The checksums of both files as sha256sum writes them; of the text with line ends of one character."""
    text = SOURCE.read_text(encoding="utf-8").encode()
    pairs = ((text, SOURCE.name), (MADE.read_bytes(), MADE.name))
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for content, name in pairs)


if __name__ == "__main__":
    write_whole(MADE, assembled())
    write_whole(SUMS, sums())
