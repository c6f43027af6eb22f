"""The site as built by its command, in headless Chromium: links, figures, search, dark, narrow, slides."""

import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

pytest.importorskip("sphinx_book_theme", reason="pip install -e .[site]")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from posttrain_lab.checks import UNITS  # noqa: E402
from posttrain_lab.grading.course import find_course, read_notebook  # noqa: E402
from tests.course import lab  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lab.CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here: install it to run this"),
]
PAGES = [f"{unit}/{unit}.html" for unit in UNITS]
PHONE = {"width": 390, "height": 844}
WIDER = "() => document.documentElement.scrollWidth - innerWidth"
NOT_SET = """() => MathJax.startup.promise.then(() => [...document.querySelectorAll('.math')]
    .filter(one => !one.querySelector('mjx-container svg') || one.querySelector('[data-mjx-error]')).map(one => one.textContent))"""
NOT_DRAWN = "() => [...document.querySelectorAll('.ptl-figure')].filter(box => !box.querySelector('.main-svg')).length"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The readers' site, built as `posttrain-lab site DIR` builds it."""
    out = tmp_path_factory.mktemp("site") / "made"
    command = [sys.executable, "-m", "posttrain_lab", "site", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def parsed(site):
    """The pages by their paths; the decks are left out (most of each is the code that draws figures)."""
    paths = [path for path in sorted(site.rglob("*.html")) if path.relative_to(site).parts[0] not in ("slides", "_static")]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in paths}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of a browser; at the end it has asked for nothing but what is on this machine, and complained about nothing."""
    with lab.browser_page(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.set_default_timeout(lab.MINUTE)
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        yield page
        assert complaints == []
        assert [url for url in requests if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))] == []
        assert requests


def test_every_page_is_there(site):
    pages = ["index.html", "glossary.html", "search.html", "library/metrics.html", "docs/instructor/README.html", *PAGES]
    pages += [f"slides/{unit}.html" for unit in UNITS]
    assert [name for name in pages if not (site / name).is_file()] == []


def test_no_link_leads_nowhere(parsed):
    """Every local link of every page, and the anchor in it."""
    anchors = {path: {tag["id"] for tag in soup.find_all(id=True)} for path, soup in parsed.items()}
    broken, seen = [], 0
    for path, soup in parsed.items():
        for address in [tag.get("href") or tag.get("src") for tag in soup.find_all(["a", "link", "script", "img"])]:
            parts = urlsplit(address or "")
            if not address or parts.scheme or parts.netloc or address in ("#", "#top"):
                continue
            seen += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            inside = target.suffix != ".html" or not parts.fragment or unquote(parts.fragment) in anchors.get(target, ())
            if not target.is_file() or not inside:
                broken.append(f"{path.name}: {address}")
    assert broken == []
    assert seen > 2000


def test_nothing_is_fetched_from_elsewhere(parsed):
    """Not by the pages' own tags either, whatever the browser does."""
    loaded = [
        tag.get("src") or tag.get("href")
        for soup in parsed.values()
        for tag in soup.find_all(["script", "img", "iframe", "link"])
        if tag.name != "link" or "stylesheet" in tag.get("rel", ())
    ]
    assert [address for address in loaded if address and urlsplit(address).netloc] == []
    assert loaded


def test_a_reader_finds_no_solution_and_no_hidden_test(site, parsed):
    for unit, name in zip(UNITS, PAGES, strict=True):
        text = parsed[site / name].get_text()
        assert "SOLUTION" not in text
        assert "HIDDEN" not in text
        assert "hidden=True" not in text
        assert "raise NotImplementedError" in text
        student = read_notebook(find_course().released(unit))
        code = [" ".join(pre.get_text().split()) for pre in parsed[site / name].select(".cell_input pre")]
        assert code == [" ".join(cell.source.split()) for cell in student.cells if cell.cell_type == "code"]


def test_buttons_open_the_students_notebook(site, parsed):
    addresses = {tag["href"] for tag in parsed[site / PAGES[2]].select("a[href]")}
    path = "course/02_quantization/02_quantization.ipynb"
    repository = "posttrain-lab/posttrain-lab"
    assert f"https://colab.research.google.com/github/{repository}/blob/main/{path}" in addresses
    assert any(one.startswith(f"https://mybinder.org/v2/gh/{repository}/main") and path in one for one in addresses)
    ends = {tag.get_text(strip=True) for tag in parsed[site / PAGES[2]].select(".prev-next-area .prev-next-title")}
    assert len(ends) == 2


def test_every_figure_and_formula_is_drawn_on_a_dark_phone(site, page):
    page.set_viewport_size(PHONE)
    for name in PAGES:
        page.goto((site / name).as_uri())
        page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; dispatchEvent(new Event('beforeprint')); }")
        assert page.locator(".ptl-figure").count() > 3
        assert page.evaluate(NOT_DRAWN) == 0, name
        assert page.evaluate(NOT_SET) == [], name
        assert page.evaluate(WIDER) <= 0, name


def test_no_other_page_is_wider_than_a_phone(site, parsed, page):
    page.set_viewport_size(PHONE)
    wide = []
    for path in parsed:
        if path.relative_to(site).as_posix() not in PAGES:
            page.goto(path.as_uri())
            wide += [path.name] if page.evaluate(WIDER) > 0 else []
    assert wide == []


def test_a_figure_follows_the_theme(site, page):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((site / PAGES[2]).as_uri())
    for mode, ink in (("light", "rgb(51, 51, 51)"), ("dark", "rgb(206, 214, 221)")):
        page.evaluate(f"() => {{ document.documentElement.dataset.theme = {mode!r}; }}")
        page.locator(".ptl-figure").first.scroll_into_view_if_needed()
        page.wait_for_function(
            "ink => { const text = document.querySelector('.ptl-figure .xtick text'); return text && getComputedStyle(text).fill === ink; }",
            arg=ink,
        )


@pytest.fixture
def address(site):
    """The site from a server: from a file, the search finds pages but may not read them for its excerpts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_search_finds_a_function(address, page):
    page.goto(f"{address}/search.html?q=requantize")
    page.wait_for_function("() => document.querySelectorAll('#search-results p.context').length > 1")
    assert "02 Quantization" in page.locator("#search-results").inner_text()


def test_a_word_of_the_glossary_says_what_it_means(parsed, site):
    words = parsed[site / PAGES[2]].select("a[href*='glossary.html#scale']")
    assert words
    assert all(len(word.get("title", "")) > 20 for word in words)


def test_slides_have_a_figure_and_its_question(site, page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto((site / "slides" / "02_quantization.html").as_uri())
    page.wait_for_selector(".reveal.ready")
    pairs = page.evaluate(
        "() => [...document.querySelectorAll('.pair')].map(p => [!!p.querySelector('.ptl-figure'), p.innerText || p.textContent])"
    )
    assert sum(figure and "Question" in text for figure, text in pairs) > 8
    assert page.evaluate("() => MathJax.startup.promise.then(() => document.querySelectorAll('mjx-container').length)") > 15
    assert page.locator("[data-mjx-error]").count() == 0
    total = page.evaluate("() => Reveal.getTotalSlides()")
    assert total > 30
    for number in range(total):
        page.evaluate(f"() => Reveal.slide({number})")
        page.wait_for_function(
            "() => [...Reveal.getCurrentSlide().querySelectorAll('.ptl-figure')].every(box => box.querySelector('.main-svg'))"
        )
        too_tall = "() => { const s = Reveal.getCurrentSlide(); return s.scrollHeight - s.clientHeight; }"
        assert page.evaluate(too_tall) <= 1, page.evaluate("() => Reveal.getCurrentSlide().innerText.slice(0, 80)")


def test_every_deck_is_one_file(site):
    for unit in UNITS:
        text = (site / "slides" / f"{unit}.html").read_text(encoding="utf-8")
        own = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", text, flags=re.S)
        assert re.findall(r'<(?:script|link|img|iframe)[^>]* (?:src|href)="[^"]*"', own) == []
        assert [link for link in re.findall(r'href="([^"]*)"', own) if not link.startswith("https://")] == []
        assert own.count('class="pair"') > 5
        assert "### " not in own
        assert "SOLUTION" not in own


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    from posttrain_lab.site.build import build_site

    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="not a site"):
        build_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
