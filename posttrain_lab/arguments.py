"""Checks of arguments that several techniques need. Each raises in the name of its caller."""


def check_count(caller: str, argument: str, value: int, least: int = 1) -> None:
    """Raise TypeError unless `value` is a whole number (True and 2.0 are none), ValueError unless it is at least `least`.

    >>> check_count("latency", "repeats", 0)
    Traceback (most recent call last):
    ValueError: latency wants repeats to be a whole number >= 1, got 0.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least:
        kind = ValueError if whole else TypeError
        raise kind(f"{caller} wants {argument} to be a whole number >= {least}, got {value!r}.")
