"""A `Passport` has all measured numbers of a model; passports are saved as JSON, compared, and passed from unit to unit.

It has numbers only; `measure.passport` measures them. Left out: the weights themselves. Units: 1 kB = 1000 bytes.
"""

import dataclasses
import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from posttrain_lab.whole_files import save_whole

FORMAT = "posttrain_lab passport 1"


def _check_fields(value: object, wanted: dict[str, tuple[type, ...]]) -> None:
    """Raise TypeError unless each field of `value` has one of the wanted types (a bool does not count as a number)."""
    for name, types in wanted.items():
        got = getattr(value, name)
        if not isinstance(got, types) or isinstance(got, bool):
            allowed = " or ".join(t.__name__ for t in types)
            raise TypeError(f"{type(value).__name__} wants {name} to be {allowed}, got {got!r}.")


@dataclass(frozen=True)
class Measurement:
    """How long does one call take? p20, p50, p80 in seconds, for `batch` examples a call on `threads` CPU threads.

    Raises TypeError for other types; ValueError unless 0 <= p20 <= p50 <= p80 and batch, threads >= 1.

    >>> Measurement(p20=0.001, p50=0.002, p80=0.004, batch=4, threads=1).per_example
    0.0005
    """

    p20: float
    p50: float
    p80: float
    batch: int
    threads: int

    def __post_init__(self) -> None:
        number = (float, int)
        _check_fields(self, {"p20": number, "p50": number, "p80": number, "batch": (int,), "threads": (int,)})
        if not 0 <= self.p20 <= self.p50 <= self.p80 < float("inf") or self.batch < 1 or self.threads < 1:
            raise ValueError(f"Measurement wants 0 <= p20 <= p50 <= p80 and batch, threads >= 1, got {self}.")

    @property
    def per_example(self) -> float:
        """Seconds for one example: the median call divided by its batch."""
        return self.p50 / self.batch


_NUMBER, _TEXT, _COUNT = (float, int), (str,), (int,)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(["name", "task", "part", "worst_class", "device"], _TEXT),
    **dict.fromkeys(["n", "bytes", "macs", "threads"], _COUNT),
    **dict.fromkeys(["accuracy", "accuracy_low", "accuracy_high", "worst_class_accuracy", "ece"], _NUMBER),
    "latency": (tuple,),
    "versions": (dict,),
}


@dataclass(frozen=True)
class Passport:
    """What do we know about this model, and where was it measured?

    accuracy, its 95 % Wilson interval accuracy_low..accuracy_high, worst_class_accuracy and ece are fractions in [0, 1]
    over the `n` examples of `part` ("validation" or "test") of `task`. bytes: parameters and buffers. macs:
    multiply-accumulates for one example. latency: one `Measurement` for batch 1 and one for batch 64. device: the name
    of the CPU or GPU. versions: of python, torch and posttrain_lab. Raises TypeError or ValueError for impossible
    values.
    """

    name: str
    task: str
    part: str
    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    worst_class: str
    worst_class_accuracy: float
    bytes: int
    macs: int
    ece: float
    latency: tuple[Measurement, ...]
    device: str
    threads: int
    versions: dict[str, str]

    def __post_init__(self) -> None:
        _check_fields(self, _TYPES)
        if not all(isinstance(row, Measurement) for row in self.latency):
            raise TypeError(f"Passport wants latency to hold Measurements, got {self.latency!r}.")
        if not 0 <= self.accuracy_low <= self.accuracy <= self.accuracy_high <= 1:
            raise ValueError(
                "Passport wants 0 <= accuracy_low <= accuracy <= accuracy_high <= 1, got "
                f"{self.accuracy_low}, {self.accuracy}, {self.accuracy_high}."
            )
        if not (0 <= self.worst_class_accuracy <= 1 and 0 <= self.ece <= 1):
            raise ValueError(
                f"Passport wants worst_class_accuracy and ece in [0, 1], got {self.worst_class_accuracy}, {self.ece}."
            )
        if self.n < 1 or self.bytes < 0 or self.macs < 0:
            raise ValueError(f"Passport wants n >= 1, bytes >= 0, macs >= 0, got {self.n}, {self.bytes}, {self.macs}.")

    def at_batch(self, batch: int) -> Measurement:
        """The latency measured with `batch` examples a call. Raises ValueError, naming the measured batches."""
        for row in self.latency:
            if row.batch == batch:
                return row
        there = [row.batch for row in self.latency]
        raise ValueError(f"at_batch wants a batch that was measured, one of {there}, got {batch}.")

    def save(self, path: str | Path) -> Path:
        """Write the passport as JSON, whole or not at all: a crash in the middle leaves the old file.

        The folder must exist. Raises OSError, naming the file and the reason, when it cannot be written.
        """
        path = Path(path)
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1, allow_nan=False) + "\n"
        save_whole("Passport.save", path, text)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Passport":
        """Read a passport that `save` wrote.

        Raises FileNotFoundError for a missing file; ValueError, naming the file and what is wrong, for a damaged one.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"Passport.load found no file {path}; write one with passport.save(path).")
        try:
            return cls(**passport_fields(json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"Passport.load wants a file that Passport.save wrote, got {path}, which is damaged ({error}); "
                "measure the model again and save its passport."
            ) from error

    def table(self) -> str:
        """The passport as lines of text, one quantity a line."""
        return compare([self]).text()

    def _repr_html_(self) -> str:
        return compare([self]).html()


def passport_fields(content: object) -> dict:
    """The arguments of `Passport` from parsed JSON."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f'"format" is not {FORMAT!r}')
    fields = {key: value for key, value in content.items() if key != "format"}
    missing = [field.name for field in dataclasses.fields(Passport) if field.name not in fields]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}")
    fields["latency"] = tuple(Measurement(**row) for row in fields["latency"])
    return fields


def _numbers(one: Passport) -> dict[str, float]:
    """The quantities that can be compared: fractions, bytes, MACs, and the median seconds a call."""
    names = ["accuracy", "worst_class_accuracy", "ece", "bytes", "macs"]
    return {name: getattr(one, name) for name in names} | {f"seconds_batch_{row.batch}": row.p50 for row in one.latency}


def _digits(value: float) -> str:
    """Three digits, never an exponent for large values."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def short(value: float, unit: str) -> str:
    """Three digits and a prefix of 1000.

    >>> short(434_000, "B"), short(999_999, "B"), short(2_730_000, " MACs"), short(12, "B")
    ('434 kB', '1 MB', '2.73 M MACs', '12 B')
    """
    for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{_digits(value / size)} {prefix}{unit}"
    return f"{_digits(value)} {unit.lstrip()}"


def _relative(value: float, first: float) -> str:
    return f" ({100 * (value / first - 1):+.1f} %)" if first else ""


def _cells(one: Passport, first: Passport) -> Iterator[tuple[str, str]]:
    """Pairs (quantity, text) of one passport; the difference to `first` follows in brackets, unless it is the first."""
    other, now, then = one is not first, _numbers(one), _numbers(first)
    both = ("accuracy", "worst_class_accuracy")
    change = {key: round(100 * (now[key] - then[key]), 1) + 0.0 for key in both}
    points = {key: f" ({change[key]:+.1f} points)" if other else "" for key in both}
    yield "measured on", f"{one.task} {one.part}, n = {one.n}"
    yield "accuracy", f"{100 * one.accuracy:.1f} %{points['accuracy']}"
    yield "its 95 % interval", f"{100 * one.accuracy_low:.1f} % to {100 * one.accuracy_high:.1f} %"
    yield "worst class", f"{one.worst_class}: {100 * one.worst_class_accuracy:.1f} %{points['worst_class_accuracy']}"
    yield "ECE", f"{one.ece:.3f}" + (f" ({round(one.ece - first.ece, 3) + 0.0:+.3f})" if other else "")
    yield "size", short(one.bytes, "B") + (_relative(one.bytes, first.bytes) if other else "")
    yield "work per example", short(one.macs, " MACs") + (_relative(one.macs, first.macs) if other else "")
    for row in one.latency:
        faster = _relative(row.p50, then.get(f"seconds_batch_{row.batch}", 0)) if other else ""
        p20, p50, p80 = (_digits(1e3 * seconds) for seconds in (row.p20, row.p50, row.p80))
        yield f"batch of {row.batch}: p50 [p20, p80] ms", f"{p50} [{p20}, {p80}]{faster}"
    yield "machine", f"{one.device}, {one.threads} thread{'s' if one.threads > 1 else ''}"
    yield "versions", ", ".join(f"{key} {value}" for key, value in one.versions.items())


@dataclass(frozen=True)
class Comparison:
    """Passports side by side: `rows` for computing, `text()` for a terminal, `html()` for a page or a notebook."""

    passports: tuple[Passport, ...]

    @property
    def rows(self) -> list[dict[str, object]]:
        """One plain row a passport: its numbers, and `<number>_change`, the difference to the first passport."""
        first = _numbers(self.passports[0])
        rows: list[dict[str, object]] = []
        for one in self.passports:
            now = _numbers(one)
            interval = {"accuracy_low": one.accuracy_low, "accuracy_high": one.accuracy_high}
            change = {f"{key}_change": now[key] - first[key] for key in now if key in first}
            rows.append({"name": one.name, **now, **interval, "worst_class": one.worst_class, **change})
        return rows

    def __iter__(self) -> Iterator[dict[str, object]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.passports)

    def grid(self) -> list[list[str]]:
        """Header and lines as text: one line a quantity, one column a passport."""
        columns = [dict(_cells(one, self.passports[0])) for one in self.passports]
        quantities = dict.fromkeys(key for column in columns for key in column)
        lines = [[key, *(column.get(key, "") for column in columns)] for key in quantities]
        return [["", *(one.name for one in self.passports)], *lines]

    def text(self) -> str:
        """The grid as aligned lines."""
        grid = self.grid()
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid)

    def html(self) -> str:
        """The grid as an HTML table; names are escaped."""
        head, *lines = [[html.escape(cell) for cell in line] for line in self.grid()]
        top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
        body = ""
        for name, *cells in lines:
            body += (
                f'<tr><th scope="row" style="text-align:left">{name}</th>'
                + "".join(f"<td>{cell}</td>" for cell in cells)
                + "</tr>"
            )
        return f'<table class="passports"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()


def compare(passports: Iterable[Passport]) -> Comparison:
    """What did the technique gain, and what did it lose? Every passport, with its differences to the first.

    Raises TypeError for anything but Passports, ValueError for none.
    """
    passports = tuple(passports)
    if not all(isinstance(one, Passport) for one in passports):
        got = [type(one).__name__ for one in passports]
        raise TypeError(f"compare wants Passports, got {got}; do compare([passport(model, ...), ...]).")
    if not passports:
        raise ValueError("compare wants at least one Passport, got none; do compare([before, after]).")
    return Comparison(passports)
