"""Run the page's own engine outside a browser, in Node.js, to compare its numbers before a page is written."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from .program import IntegerProgram
from .web import FILES
from .webspec import compact, spec_and_blob

RUN = """
const x = new Int8Array(require("fs").readFileSync(CODES)), all = {};
const blob = bytesOf("BLOB"), spec = SPEC;
if (crc32(blob) !== spec.crc) throw new Error("the checksum of the weights is wrong");
for (const wasm of [null, bytesOf("WASM")]) {
  const network = new Network(spec, blob, wasm), rows = [], milliseconds = [];
  for (let i = 0; i < x.length; i += SIZE) {
    const start = process.cpuUsage();
    const row = network.run(x.subarray(i, i + SIZE));
    const used = process.cpuUsage(start);
    milliseconds.push((used.user + used.system) / 1000);
    rows.push(Array.from(row));
  }
  all[network.kind] = {rows, milliseconds};
}
console.log(JSON.stringify(all));
"""


def node() -> str | None:
    """Where Node.js is; None where there is none."""
    return shutil.which("node")


def run_engine(program: IntegerProgram, codes: Shaped[np.ndarray, "n h w c"]) -> dict[str, Shaped[np.ndarray, "n out"]]:
    """The results of the page's engine for the codes of some images, by "JavaScript" and by "WebAssembly".

    Raises FileNotFoundError without Node.js, RuntimeError when the engine stops.
    """
    return {kind: np.array(found["rows"]).reshape(len(codes), -1) for kind, found in _answers(program, codes).items()}


def time_engine(program: IntegerProgram, codes: Shaped[np.ndarray, "n h w c"]) -> dict[str, list[float]]:
    """Milliseconds of processor time for each image in turn, in one process of Node.js, by way. Raises as `run_engine` does."""
    return {kind: found["milliseconds"] for kind, found in _answers(program, codes).items()}


def _answers(program: IntegerProgram, codes: np.ndarray) -> dict[str, dict[str, list]]:
    command = node()
    if command is None:
        raise FileNotFoundError("run_engine finds no node; install nodejs.")
    spec, blob = spec_and_blob(program)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "codes").write_bytes(np.ascontiguousarray(codes).tobytes())
        parts = {
            "SIZE": str(program.values[0].count),
            "CODES": json.dumps(str(Path(folder) / "codes")),
            "BLOB": base64.b64encode(blob).decode(),
            "SPEC": compact(spec),
            "WASM": base64.b64encode((FILES / "gemm.wasm").read_bytes()).decode(),
        }
        script = re.sub("|".join(parts), lambda found: parts[found[0]], RUN)
        (Path(folder) / "run.js").write_text((FILES / "engine.js").read_text(encoding="utf-8") + script, encoding="utf-8")
        done = subprocess.run([command, str(Path(folder) / "run.js")], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the engine stopped: {done.stderr[-500:]}")
    return json.loads(done.stdout)
