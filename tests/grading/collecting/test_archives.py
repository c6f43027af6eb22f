"""Zips and folders that try to lead out, to fill the memory, or to hide what they are: refused with a reason, file by file."""

import os
import stat
import struct
import zipfile

import pytest

from posttrain_lab.grading.collecting.archives import files_of, parts_of
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.intake import MOST_BYTES, NeedsAttention


def zipped(path, entries, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def special(name, mode):
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3  # Unix, where the upper half of external_attr is the mode
    entry.external_attr = mode << 16
    return entry


def test_a_zip_and_a_folder_give_the_same_files(tmp_path):
    made = {"ann/02.ipynb": b"{}", "ann/data/a.csv": b"1", "ben/02.ipynb": b"[]"}
    for name, content in made.items():
        place = tmp_path / "folder" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for source in (zipped(tmp_path / "a.zip", made.items()), tmp_path / "folder"):
        assert {"/".join(file.parts): file.read() for file in files_of(source)} == made


def test_what_computers_leave_behind_is_left_out(tmp_path):
    source = zipped(tmp_path / "a.zip", [("__MACOSX/ann/._02.ipynb", b"x"), ("ann/.DS_Store", b"x"), ("ann/02.ipynb", b"{}")])
    assert [file.parts for file in files_of(source)] == [("ann", "02.ipynb")]


PATHS = {
    "../../etc/passwd": "leads out of its folder",
    "ann/../../ben/02.ipynb": "leads out of its folder",
    "ann\\..\\..\\02.ipynb": "leads out of its folder",
    "/etc/passwd": "is an absolute path",
    "\\\\server\\share\\02.ipynb": "is an absolute path",
    "C:\\Windows\\02.ipynb": "is an absolute path",
    "c:02.ipynb": "is an absolute path",
    "ann/a\x1b[2J.ipynb": "has control characters",
    f"ann/{'a' * 300}.ipynb": "is too long a name",
}


@pytest.mark.parametrize("name", PATHS)
def test_tricks_with_paths_are_refused(tmp_path, name):
    with pytest.raises(NeedsAttention, match=PATHS[name]):
        parts_of(name)
    (file,) = files_of(zipped(tmp_path / "a.zip", [(name, b"x")]))
    assert PATHS[name] in file.refused
    with pytest.raises(NeedsAttention):
        file.read()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["ann/02.ipynb", "ANN/02.ipynb", "ann\\02.ipynb"])
def test_two_entries_of_one_name_are_both_refused(tmp_path, second):
    found = files_of(zipped(tmp_path / "a.zip", [("ann/02.ipynb", b"mine"), (second, b"another's"), ("ben/02.ipynb", b"{}")]))
    assert [("twice" in file.refused) for file in found] == [True, True, False]


@pytest.mark.parametrize(("kind", "mode"), [("a link", stat.S_IFLNK), ("a pipe", stat.S_IFIFO), ("a device", stat.S_IFCHR)])
def test_links_and_special_entries_of_a_zip_are_refused(tmp_path, kind, mode):
    (file,) = files_of(zipped(tmp_path / "a.zip", [(special("ann/02.ipynb", mode | 0o777), b"/etc/passwd")]))
    assert f"is {kind}" in file.refused


def test_a_file_with_unix_rights_is_a_file(tmp_path):
    (file,) = files_of(zipped(tmp_path / "a.zip", [(special("ann/02.ipynb", stat.S_IFREG | 0o644), b"{}")]))
    assert file.read() == b"{}"


def test_a_large_entry_is_refused_unread(tmp_path):
    (file,) = files_of(zipped(tmp_path / "a.zip", [("ann/02.ipynb", bytes(MOST_BYTES + 1))]))
    assert "more than 20 MB" in file.refused


def changed(path, mark, offset, form, value):
    """Overwrite one number of every header that begins with `mark`."""
    content = bytearray(path.read_bytes())
    place = content.find(mark)
    while place >= 0:
        struct.pack_into(form, content, place + offset, value)
        place = content.find(mark, place + 1)
    path.write_bytes(bytes(content))
    return path


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def test_a_bomb_that_says_it_is_small_is_not_unpacked(tmp_path):
    source = zipped(tmp_path / "a.zip", [("ann/02.ipynb", bytes(3 * MOST_BYTES))])
    changed(source, LOCAL, 22, "<I", 100)
    changed(source, CENTRAL, 24, "<I", 100)
    (file,) = files_of(source)
    assert file.refused == ""
    assert file.size == 100
    with pytest.raises(NeedsAttention, match=r"damaged in the zip|more than 20 MB"):
        file.read()


def test_an_encrypted_entry_is_refused(tmp_path):
    source = zipped(tmp_path / "a.zip", [("ann/02.ipynb", b"{}")])
    changed(source, LOCAL, 6, "<H", 1)
    changed(source, CENTRAL, 8, "<H", 1)
    (file,) = files_of(source)
    assert "is encrypted" in file.refused


def test_a_damaged_entry_and_an_unknown_method_are_named(tmp_path):
    source = zipped(tmp_path / "a.zip", [("ann/02.ipynb", b"{}" * 50)], zipfile.ZIP_STORED)
    content = source.read_bytes()
    source.write_bytes(content.replace(b"{}{}{}", b"{}[]{}", 1))
    with pytest.raises(NeedsAttention, match="is damaged in the zip"):
        files_of(source)[0].read()
    source.write_bytes(content)
    changed(changed(source, LOCAL, 8, "<H", 77), CENTRAL, 10, "<H", 77)
    with pytest.raises(NeedsAttention, match="is damaged in the zip"):
        files_of(source)[0].read()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_zip_is_one_sentence(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(CourseError, match="is no zip, or a damaged one"):
        files_of(tmp_path / "a.zip")
    with pytest.raises(CourseError, match=r"There is no .*missing"):
        files_of(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system lacks pipes in folders")
def test_links_and_pipes_of_a_folder_are_refused(tmp_path):
    folder = tmp_path / "folder"
    (folder / "ann").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "02.ipynb").write_text("{}")
    (folder / "ann" / "02.ipynb").symlink_to(tmp_path / "secret" / "02.ipynb")
    (folder / "ben").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "cyd.ipynb")
    assert {file.parts[0]: file.refused.split(";")[0] for file in files_of(folder)} == {
        "ann": "ann/02.ipynb is a link",
        "ben": "ben is a link",
        "cyd.ipynb": "cyd.ipynb is a pipe",
    }
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(CourseError, match="is a link"):
        files_of(tmp_path / "link")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system lacks links")
def test_a_file_exchanged_for_a_link_after_the_look_is_not_read(tmp_path):
    path = tmp_path / "ann.ipynb"
    path.write_text("{}")
    (file,) = files_of(tmp_path)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(NeedsAttention, match="cannot be read"):
        file.read()
