"""The learner's own copy of the course: made by the first `start`, brought up to date by later ones, never overwritten.

What was released into the folder is kept in .posttrain_lab/released, so that an upgrade knows which lines are the learner's.
"""

from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from posttrain_lab.cli.merge import Merged, merged, same_release
from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.grading.overview import INDEX, NOTHING_YET, progress_in, with_progress
from posttrain_lab.whole_files import write_whole

RELEASED, BEFORE = Path(".posttrain_lab", "released"), Path(".posttrain_lab", "before")
PROGRESS = Path(".posttrain_lab", "progress.json")  # as in grading/progress.py, which needs torch


@dataclass
class OwnCopy:
    """What a `start` did in `folder`: files copied, left alone, brought up to date; a sentence in `said` for each that needs one."""

    folder: Path
    copied: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    renewed: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """One line for all, and one for each file that a learner should know about."""
        renewed = f"{len(self.renewed)} brought up to date, " if self.renewed else ""
        counts = f"{len(self.copied)} files new, {renewed}{len(self.kept)} as you left them."
        return "\n".join([f"Your course is in {self.folder}: {counts}", *self.said])

    def bring(self, source: Path, path: Path) -> None:
        """Bring one file of the course, `path` below both folders, to the present release."""
        target, base = self.folder / path, self.folder / RELEASED / path
        now, was, mine = _plain(source), _plain(base), _plain(target)
        if mine is None:
            self.copied.append(target)
            _write(target, source.read_bytes())
        elif now in (mine, was):
            self.kept.append(target)
        elif mine == was:
            self.renewed.append(target)
            _write(target, _with_own_progress(source, target))
        else:
            self._settle(source, path)
        if now != was:
            _write(base, source.read_bytes())

    def _settle(self, source: Path, path: Path) -> None:
        """Learner and release have both changed the file: merge it, or leave it alone and put the release beside it."""
        target, base = self.folder / path, self.folder / RELEASED / path
        try:
            if path.suffix != ".ipynb":
                raise ValueError("yours is not as it was released")
            new, mine = read_notebook(source), read_notebook(target)
            if not base.is_file() and same_release(new, mine):
                self.kept.append(target)
                return
            if not base.is_file():
                raise ValueError("nothing tells from which release yours was made")
            self._write_merged(source, path, merged(read_notebook(base), new, mine))
        except ValueError as error:
            self.kept.append(target)
            beside = _put(source.read_bytes(), target, ".new")
            self.said.append(
                f"{path.as_posix()} is not up to date: {str(error).rstrip('.')}. The new one lies beside it: {beside.name}."
            )

    def _write_merged(self, source: Path, path: Path, result: Merged) -> None:
        target = self.folder / path
        before = _put(target.read_bytes(), self.folder / BEFORE / path, "")
        _write(target, (nbformat.writes(result.notebook) + "\n").encode())
        self.renewed.append(target)
        cells = f"{result.new} cells new, {result.changed} changed, yours as they were"
        self.said.append(f"{path.as_posix()}: {cells}. The whole notebook as it was: {before}.")
        if result.both:
            beside = _put(source.read_bytes(), target, ".new")
            self.said.append(
                f"  Changed by you and by the release, and left as yours: {', '.join(result.both)}; see {beside.name}."
            )


def copy_course(folder: Path) -> OwnCopy:
    """Copy missing files of the course to `folder`, and bring the others up to date without losing a line that was written there.

    Raises ValueError when the folder is the course itself and OSError when it cannot be written.
    """
    source = find_course().course
    if folder.resolve() == source.resolve():
        raise ValueError(f"start wants a folder of your own, {folder} holds the course itself; choose another with --folder.")
    own = OwnCopy(folder)
    for path in sorted(p for p in source.rglob("*") if p.is_file() and ".ipynb_checkpoints" not in p.parts):
        own.bring(path, path.relative_to(source))
    return own


def lacks_progress(folder: Path) -> bool:
    """Was something checked in this folder, and does its first page not say so: a new page, or one of a release that had no such place?"""
    page = folder / INDEX
    if not ((folder / PROGRESS).is_file() and page.is_file()):
        return False
    return progress_in(page.read_text(encoding="utf-8", errors="replace")) == NOTHING_YET


def _plain(path: Path) -> bytes | None:
    """The bytes of a file, none when it is missing; of the first page without the learner's progress."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    if path.name != INDEX:
        return content
    return with_progress(content.decode(errors="surrogateescape"), "").encode(errors="surrogateescape")


def _with_own_progress(source: Path, target: Path) -> bytes:
    """The file of the release, the first page with the progress that the learner's has."""
    if target.name != INDEX:
        return source.read_bytes()
    done = progress_in(target.read_text(encoding="utf-8"))
    page = source.read_text(encoding="utf-8")
    return with_progress(page, done or progress_in(page)).encode()


def _put(content: bytes, path: Path, mark: str) -> Path:
    """Write beside `path` under a name that is free, or that has this very content already."""
    names = (path.with_name(f"{path.stem}{mark}{number or ''}{path.suffix}") for number in range(10_000))
    free = next(name for name in names if not name.exists() or name.read_bytes() == content)
    _write(free, content)
    return free


def _write(target: Path, content: bytes) -> None:
    """The whole file or nothing of it. Raises OSError with what to do."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)
    except OSError as error:
        raise OSError(f"{target.parent} cannot be written ({error.strerror}); choose another folder with --folder.") from error
