"""The page in headless Chromium, from file:// and offline: exact on a thousand images, drawing, files, dark, narrow, damaged."""

import base64
import os
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.operations import expected, operations
from posttrain_lab.deployment.preprocess import Contract
from posttrain_lab.deployment.web import PageText, to_html
from posttrain_lab.grading.course import find_course, read_notebook, setup_sources
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from tests.deployment.networks import shipped

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from tests.course import lab  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lab.CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here: install it to run this"),
]
CLASSES = tuple(f"class {number}" for number in range(10))
RUN_ALL = """text => {
  const images = bytesOf(text), out = [];
  for (let i = 0; i < images.length; i += N) out.push(Array.from(predict(images.subarray(i, i + N))));
  return [network.kind, out];
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of a browser that is offline, and what it complains about."""
    with lab.browser_page(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.context.set_offline(True)
        page.set_default_timeout(lab.MINUTE)
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        yield page
        assert page.complaints == []


def photos(count):
    return (load_fashion().validation.images[:count] * 255).round().to(torch.uint8)


def show(page, folder, name="fashion_cnn", change=lambda text: text, **more):
    text = to_html(operations(shipped(name)), PageText("Shoes", CLASSES, "facts"), photos(5).permute(0, 2, 3, 1), **more)
    (folder / "page.html").write_text(change(text), encoding="utf-8")
    page.requests.clear()
    page.goto((folder / "page.html").as_uri())


def top(page):
    return page.locator(".bar.top").inner_text().split("\n")[0]


@pytest.mark.parametrize(
    ("name", "wasm", "kind"),
    [("fashion_cnn", True, "WebAssembly"), ("fashion_cnn", False, "JavaScript"), ("fashion_resnet", True, "WebAssembly")],
)
def test_a_thousand_images(page, tmp_path, name, wasm, kind):
    images = photos(1000)
    show(page, tmp_path, name, wasm=wasm)
    found, rows = page.evaluate(RUN_ALL, base64.b64encode(images.numpy().tobytes()).decode())
    assert found == kind
    assert np.array_equal(np.array(rows), expected(shipped(name), images.float() / 255).numpy())
    page.wait_for_function("() => document.getElementById('speed').textContent.includes('ms an image')")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests)


def test_drawing_clearing_and_examples(page, tmp_path):
    show(page, tmp_path)
    page.locator("#clear").click()
    assert page.evaluate("() => Math.max(...pixels)") == 0
    box = page.locator("#draw").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 150, steps=9)
    page.mouse.up()
    assert page.evaluate("() => pixels.filter(v => v > 0).length") > 20
    page.locator(".thumb").nth(2).click()
    assert page.evaluate("() => Array.from(pixels)") == photos(3)[2].flatten().tolist()
    classes = expected(shipped("fashion_cnn"), photos(3)[2:].float() / 255).double() * torch.tensor(
        operations(shipped("fashion_cnn")).output_scale
    )
    assert top(page) == CLASSES[int(classes.argmax())]


def png(pixels):
    """A grey PNG file; [h, w] uint8."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + bytes(row) for row in pixels.tolist())

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_picture_files(page, tmp_path):
    show(page, tmp_path)
    same = photos(4)[3, 0]
    page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png(same)})
    page.wait_for_function("want => Array.from(pixels).join() === want", arg=",".join(map(str, same.flatten().tolist())))
    wide = torch.full((56, 200), 90, dtype=torch.uint8)  # another shape: its middle, made smaller
    page.locator("#file").set_input_files({"name": "b.png", "mimeType": "image/png", "buffer": png(wide)})
    page.wait_for_function("() => pixels.every(v => v === 90)")
    for name, content in (("empty.jpg", b""), ("text.png", b"no picture")):
        page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        page.wait_for_function(
            "name => document.getElementById('status').textContent.includes(name)", arg="empty" if not content else name
        )
        assert page.locator("#status").is_visible()
    page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png(same)})
    page.locator("#status").wait_for(state="hidden")


def test_a_damaged_page_says_so(page, tmp_path):
    show(page, tmp_path, change=lambda text: text.replace('blob = bytesOf("', 'blob = bytesOf("AAAA', 1))
    assert "damaged" in page.locator("#status").inner_text()
    assert page.locator(".thumb").count() == 0


def test_a_page_whose_contract_is_broken_says_so(page, tmp_path):
    program = replace(operations(shipped("fashion_cnn")), contract=Contract())
    text = to_html(program, PageText("Shoes", CLASSES, "facts"), photos(1).permute(0, 2, 3, 1))
    assert '"size":[28,28]' in text
    (tmp_path / "page.html").write_text(text.replace('"size":[28,28]', '"size":[32,32]'), encoding="utf-8")
    page.goto((tmp_path / "page.html").as_uri())
    assert "put together wrongly" in page.locator("#status").inner_text()


def test_a_contract_swaps_black_and_white(page, tmp_path):
    program = replace(operations(shipped("fashion_cnn")), contract=Contract(inverted=True))
    text = to_html(program, PageText("Shoes", CLASSES, "facts"), photos(1).permute(0, 2, 3, 1))
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    page.goto((tmp_path / "page.html").as_uri())
    content = png(torch.full((28, 28), 90, dtype=torch.uint8))
    page.locator("#file").set_input_files({"name": "b.png", "mimeType": "image/png", "buffer": content})
    page.wait_for_function("() => pixels.every(v => v === 165)")


def test_of_many_classes_the_ten_best(page, tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 30))
    images = torch.rand(20, 1, 8, 8)
    network = quantize_model(model, images, QuantizationConfig(mode="integer"))
    pixels = (255 * images[:1]).round().to(torch.uint8)
    names = [f"class {number}" for number in range(30)]
    (tmp_path / "page.html").write_text(to_html(operations(network), PageText("Many", names), pixels.permute(0, 2, 3, 1)))
    page.goto((tmp_path / "page.html").as_uri())
    best = network(pixels.float() / 255)[0].argsort(descending=True)[:10]
    assert [text.split("\n")[0] for text in page.locator(".bar").all_inner_texts()] == [names[int(one)] for one in best]


def test_a_browser_without_webassembly_computes_the_same(page, tmp_path):
    show(page, tmp_path, change=lambda text: text.replace('"use strict";', '"use strict"; delete globalThis.WebAssembly;', 1))
    kind, rows = page.evaluate(RUN_ALL, base64.b64encode(photos(20).numpy().tobytes()).decode())
    assert kind == "JavaScript"
    assert np.array_equal(np.array(rows), expected(shipped("fashion_cnn"), photos(20).float() / 255).numpy())


def test_an_old_browser_is_told(page, tmp_path):
    """The sentence stands in the page itself, and is taken away only by the script that runs to its end."""
    show(page, tmp_path, change=lambda text: text[: text.index("<script>")])
    assert "browser from 2018 or newer" in page.locator("#status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_in_both_schemes(page, tmp_path, scheme):
    before = page.viewport_size
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    show(page, tmp_path)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size(before)


def test_the_page_that_the_solved_notebook_of_unit_08_wrote(page, tmp_path, monkeypatch):
    """The cells that lead to it run, in the notebook's order; then the browser opens what the last of them wrote."""
    notebook = read_notebook(find_course().source("08_deployment"))
    wanted = ("network = lib.quantize_model(model,", "to_html(")
    cells = [one.source for one in notebook.cells if one.cell_type == "code" and any(part in one.source for part in wanted)]
    assert len(cells) == len(wanted)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for source in (*setup_sources(notebook), cells[0], "fused = operations(network)", cells[1]):
        exec(source, names)
    page.requests.clear()
    page.goto((tmp_path / "my_page.html").as_uri())
    page.locator(".thumb").nth(3).click()
    assert top(page) == names["fashion"].test.classes[int(names["fashion"].test.labels[3])]
    kind, rows = page.evaluate(RUN_ALL, base64.b64encode(photos(200).numpy().tobytes()).decode())
    assert kind == "WebAssembly"
    assert np.array_equal(np.array(rows), expected(names["network"], photos(200).float() / 255).numpy())
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests)
