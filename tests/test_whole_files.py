"""A file is written whole or not at all, whatever goes wrong, and the error says what to do."""

import os
from pathlib import Path

import pytest

from posttrain_lab.whole_files import check_target, save_whole, write_whole


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    for content, raw in (("é\r\n", b"\xc3\xa9\r\n"), (b"\x00\xff", b"\x00\xff"), ("", b"")):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == raw
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_whole(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match=r"No space left on device") as raw:
        write_whole(path, "new")
    assert raw.value.errno == 28
    with pytest.raises(OSError, match=r"^keep cannot write .*file: No space left on device; choose an existing folder"):
        save_whole("keep", path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_kind_of_error_stays(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"keep cannot write .*: No such file"):
        save_whole("keep", tmp_path / "absent" / "file", "text")


def test_nothing_else_in_the_package_renames_a_finished_file():
    package = Path(__file__).parent.parent / "posttrain_lab"
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if "os.replace(" in path.read_text("utf-8")}
    assert found == {
        "whole_files.py",
        "grading/progress.py",
        "grading/attempts.py",
    }  # a damaged file that is kept; a folder of an attempt


def test_checking_a_file_leaves_nothing_behind_and_the_file_as_it_was(tmp_path):
    check_target("keep", None, "--csv")
    check_target("keep", tmp_path / "b.csv", "--csv")
    assert list(tmp_path.iterdir()) == []
    write_whole(tmp_path / "b.csv", "old")
    check_target("keep", tmp_path / "b.csv", "--csv")
    assert (tmp_path / "b.csv").read_text() == "old"


def test_a_folder_or_a_place_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"keep wants a folder that exists for --csv, there is no .*no; choose another"):
        check_target("keep", tmp_path / "no" / "b.csv", "--csv")
    with pytest.raises(IsADirectoryError, match=r"keep wants a file for --csv, .* is a folder; add a name"):
        check_target("keep", tmp_path, "--csv")


def test_what_cannot_be_written_is_said(read_only_folder):
    with pytest.raises(PermissionError, match=r"keep cannot write into .* for --csv; choose another folder"):
        check_target("keep", read_only_folder / "b.csv", "--csv")
