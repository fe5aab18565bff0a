"""What fails for now is asked again, a few times and ever more slowly."""

import pytest

from delineate.clinic.archive.patience import LONGEST_S, Busy, patiently
from delineate.errors import ArchiveError


def failing(times):
    left = [times]

    def ask():
        left[0] -= 1
        if left[0] >= 0:
            raise Busy("pacs: is busy")
        return "done"

    return ask


def test_waits_double():
    waits = []
    assert patiently(failing(4), tries=5, wait_s=1, sleep=waits.append) == "done"
    assert waits == [1, 2, 4, 8]


def test_no_wait_is_endless():
    waits = []
    patiently(failing(12), tries=13, wait_s=1, sleep=waits.append)
    assert max(waits) == LONGEST_S


def test_patience_ends_with_what_was_said_last():
    with pytest.raises(ArchiveError, match="pacs: is busy, 3 times"):
        patiently(failing(9), tries=3, wait_s=0, sleep=lambda s: None)
    with pytest.raises(ArchiveError, match=r"pacs: is busy\.$"):
        patiently(failing(9), tries=1, wait_s=0, sleep=lambda s: None)
