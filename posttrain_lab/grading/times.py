"""When something was handed in: the time stamps of nbgrader, of learning platforms and of instructors, as nbgrader writes them."""

import re
import warnings
from datetime import UTC

from dateutil import parser
from nbgrader.utils import parse_utc

STAMP = "timestamp.txt"
NBGRADER = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( \S+)?")
LIKE_A_TIME = re.compile(r"\d{4}.*\d:\d\d|\d:\d\d.*\d{4}")


def time_of(text: str) -> str:
    """The time in UTC as nbgrader writes it; empty for what is none: a bad stamp does not stop the grading.

    nbgrader's own stamps are in UTC when they name no zone; any other text is then meant in this machine's zone.

    >>> time_of("2026-11-24T10:15:00+01:00"), time_of("2026-11-24 09:15:00"), time_of("yesterday"), time_of("-")
    ('2026-11-24 09:15:00.000000 UTC', '2026-11-24 09:15:00.000000 UTC', '', '')
    """
    text = text.strip()[:100]
    if not LIKE_A_TIME.search(text):
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an unknown zone
            found = parse_utc(text) if NBGRADER.fullmatch(text) else parser.parse(text).astimezone(UTC)
        return found.strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    except (ValueError, OSError, OverflowError, Warning):
        return ""
