"""How every shipped table is written: CSV, UTF-8, one line end on every system."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from posttrain_lab.whole_files import write_whole


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """The header and the rows; a column that a row lacks stays empty. Raises ValueError for one that is not among `columns`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())
