"""Dates: moved by whole days, so that the intervals between them hold.

Times of day stay: a whole day does not change them. A date that is not known to the day (2019, or 201903) is
moved as its middle and written as little known as it was. PS3.5 6.2, value representations DA and DT.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

DATE = re.compile(
    r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})"
)  # with the dots of ACR-NEMA, or the signs people use
DATETIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{0,6}(?:\.\d{0,6})?)([+-]\d{4})?")
DUMMIES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}


def shifted(value: str, vr: str, days: int) -> str | None:
    """A DA, DT or TM value moved by whole days; None where it is no date, or leaves the calendar."""
    value = value.strip(" \0")
    if not value or vr == "TM":
        return value
    try:
        return _date(value, days) if vr == "DA" else _datetime(value, days)
    except (ValueError, OverflowError):
        return None


def _date(value: str, days: int) -> str | None:
    match = DATE.fullmatch(value)
    return None if match is None else _moved(*map(int, match.groups()), days=days)


def _datetime(value: str, days: int) -> str | None:
    match = DATETIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, time, zone = match.groups(default="")
    known = len(year + month + day)
    return _moved(int(year), int(month or 7), int(day or 15), days=days)[:known] + time + zone


def _moved(year: int, month: int, day: int, *, days: int) -> str:
    return (date(year, month, day) + timedelta(days=days)).strftime("%Y%m%d").rjust(8, "0")
