"""The README promises two commands, links and a map: each is held against the repository."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def command(name: str) -> str:
    return re.search(rf"<!-- {name} command -->\n```sh\n(.+)\n```\n<!-- end -->", TEXT)[1]


def test_the_commands_end_as_promised():
    assert command("start").endswith(" && .venv/bin/posttrain-lab start")
    assert command("test").endswith(" && .venv/bin/pytest")


def test_every_file_named_by_a_command_is_there():
    for name in ("start", "test"):
        assert (ROOT / re.search(r"-c (\S+)", command(name))[1]).is_file()


def test_local_links_and_pictures_exist():
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", TEXT)
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_anchors_exist():
    headings = {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_the_size_of_the_environment_is_announced_before_the_first_command():
    before = TEXT[: TEXT.index("<!-- start command -->")]
    assert re.search(r"takes\s+6 GB of disk", before)
    assert "(#a-smaller-pytorch)" in before


def test_a_read_only_clone_is_installed_from_as_the_first_command_does():
    text = TEXT[TEXT.index("## Without sudo, or in a folder that is read-only") :]
    elsewhere = re.search(r"^    (python3 -m venv ~/.+)$", text, re.M)[1]
    wanted = command("start").rpartition("; ")[2].replace("-e .", ".").replace(".venv", "~/posttrain")
    assert elsewhere == f"{wanted} --folder ~/my-course"


def test_commands_come_in_the_first_screen():
    assert TEXT[: TEXT.index("<!-- test command -->")].count("\n") <= 45


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_ci_runs_the_readme_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    extract = re.search(r"sed -n '.+' README\.md", script)[0]
    found = subprocess.run(["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert found == command("test")


def test_the_map_is_the_list_of_units():
    """`posttrain-lab release` writes it; every unit with its link is a row of it."""
    from posttrain_lab.grading.overview import with_table
    from posttrain_lab.units import UNITS

    assert with_table(TEXT, tuple(unit.folder for unit in UNITS)) == TEXT
    for unit in UNITS:
        assert f"course/{unit.folder}/{unit.folder}.ipynb" in TEXT


def test_files_named_for_contributors_exist():
    """Those of the two examples, an exercise and a unit, do not; their folders and all others do."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])(?:posttrain_lab|tests|solutions)/[\w/.]+\w", text))
    made = {name for name in named if "clip_range" in name or "auditing" in name}
    assert len(named) > len(made) > 1
    assert [name for name in named - made if not (ROOT / name).exists()] == []
    assert [name for name in made if "clip_range" in name and not (ROOT / name).parent.is_dir()] == []
    assert all((ROOT / link).exists() for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text))
