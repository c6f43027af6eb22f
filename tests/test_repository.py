"""The files around the package say the same as the package: version, citation, issue forms, hooks, links."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from posttrain_lab import __version__

ROOT = Path(__file__).parents[1]
PAGES = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = ["3.11", "3.12", "3.13"]  # what the package promises
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
INPUTS = {"input", "textarea", "dropdown", "checkboxes"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load(text("CITATION.cff"))
    assert cited["version"] == tomllib.loads(text("pyproject.toml"))["project"]["version"] == __version__
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= set(cited)
    assert re.search(r"^## (\S+?),? ", text("CHANGELOG.md"), re.M)[1] == __version__


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_exist(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text(page))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_changelog_names_every_command():
    from posttrain_lab.cli.app import app

    names = {command.callback.__name__ for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert names <= set(re.findall(r"`([\w-]+)`", text("CHANGELOG.md")))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_forms(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form["blank_issues_enabled"] is False
        return
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids) > 0
    for part in form["body"]:
        assert part["type"] in INPUTS
        assert part["attributes"]["label"]
        assert part["type"] != "dropdown" or part["attributes"]["options"]


def test_there_is_a_form_for_each_way_a_check_can_be_wrong():
    assert {path.stem for path in FORMS} == {"config", "general", "right-answer-lost", "wrong-answer-passed"}


def test_the_hooks_are_what_ci_lints():
    hooks = {hook["id"]: hook for hook in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]}
    linted = set(
        re.findall(r"^\.venv/bin/(ruff check|ruff format|basedpyright|lint-imports|posttrain-lab release)", text(".ci/run"), re.M)
    )
    commands = {hook["entry"] for hook in hooks.values()}
    assert len(linted) == 5
    assert all(any(entry.startswith(command) for entry in commands) for command in linted)
    assert all(hook["language"] == "system" and shlex.split(hook["entry"]) for hook in hooks.values())
    twins = re.compile(hooks["jupytext"]["files"])
    assert twins.search("solutions/02_quantization/02_quantization.py")
    assert twins.search("solutions/02_quantization/02_quantization.ipynb")
    assert not twins.search("solutions/02_quantization/alternatives.py")


def project() -> dict:
    return tomllib.loads(text("pyproject.toml"))["project"]


def test_the_promised_pythons_are_the_same_everywhere():
    listed = [
        line.rpartition(" ")[2] for line in project()["classifiers"] if line.startswith("Programming Language :: Python :: 3.")
    ]
    assert listed == PYTHONS
    assert project()["requires-python"] == ">=3.11,<3.14"
    matrix = yaml.safe_load(text(".github/workflows/tests.yml"))["jobs"]["portable"]["strategy"]["matrix"]
    assert matrix["python"] == [*PYTHONS, "3.14"]
    assert len(matrix["os"]) == 3


def test_the_package_is_described():
    assert {"authors", "keywords", "classifiers", "urls", "license", "license-files"} <= set(project())
    assert set(project()["urls"]) == {"Homepage", "Documentation", "Repository", "Issues", "Changelog"}
    kinds = {line.partition(" :: ")[0] for line in project()["classifiers"]}
    assert {"Development Status", "Environment", "Intended Audience", "Natural Language", "Operating System", "Topic"} <= kinds
    assert not any(line.startswith("License ::") for line in project()["classifiers"])  # PyPI refuses it beside `license`
    assert [name for name in project()["license-files"] if not (ROOT / name).is_file()] == []


def test_every_required_package_is_imported():
    """anywidget was required for long and used by nothing."""
    lines = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "posttrain_lab").rglob("*.py"))
    names = [re.match(r"[\w-]+", line)[0].replace("-", "_") for line in project()["dependencies"]]
    assert [name for name in names if not re.search(rf"^\s*(import|from) {name}\b", lines, re.M)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_commands_and_scripts_that_exist(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any(steps) or path.stem == "release"
    assert all((ROOT / script).is_file() for run in steps for script in re.findall(r"\.ci/\w+", run))
    assert all("timeout-minutes" in job for job in jobs.values() if any(step.get("run") for step in job["steps"]))


def test_publishing_needs_no_password():
    job = yaml.safe_load(text(".github/workflows/release.yml"))["jobs"]["publish"]
    assert job["permissions"] == {"id-token": "write"}
    assert "secrets." not in text(".github/workflows/release.yml")
