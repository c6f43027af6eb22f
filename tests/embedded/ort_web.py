"""onnxruntime-web, the runtime that a page would download, in Node.js: `npm install onnxruntime-web`, its folder node_modules in NODE_PATH."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from posttrain_lab.deployment.engine import node

RUN = """
const ort = require("onnxruntime-web"), fs = require("fs"), [folder, ...shape] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
(async () => {
  const session = await ort.InferenceSession.create(fs.readFileSync(folder + "/model.onnx"), {executionProviders: ["wasm"]});
  const bytes = fs.readFileSync(folder + "/images"), dims = [1, ...shape.map(Number)], size = dims.reduce((a, b) => a * b);
  const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), rows = [], milliseconds = [];
  for (let i = 0; i < images.length; i += size) {
    const x = new ort.Tensor("float32", images.slice(i, i + size), dims), start = process.cpuUsage();
    const row = (await session.run({x})).y.data, used = process.cpuUsage(start);
    milliseconds.push((used.user + used.system) / 1000);
    rows.push(Array.from(row));
  }
  fs.writeFileSync(folder + "/found", JSON.stringify({rows, milliseconds}));
})();
"""


def here() -> bool:
    """Can Node.js load it?"""
    command = node()
    return bool(command) and subprocess.run([command, "-e", "require('onnxruntime-web')"], capture_output=True).returncode == 0


def run_ort_web(model: bytes, images: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The numbers of an ONNX file's "y" for float32 images, one after the other, and the milliseconds of processor time of each."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(model)
        (Path(folder) / "images").write_bytes(np.ascontiguousarray(images, np.float32).tobytes())
        (Path(folder) / "run.js").write_text(RUN)
        shape = map(str, images.shape[1:])
        subprocess.run([str(node()), f"{folder}/run.js", folder, *shape], check=True, env=dict(os.environ), capture_output=True)
        found = json.loads((Path(folder) / "found").read_text())
    return np.array(found["rows"], np.float32), found["milliseconds"]
