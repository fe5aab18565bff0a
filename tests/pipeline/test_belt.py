import threading
import time

import pytest

from delineate.errors import DataError
from delineate.pipeline.belt import carried


def plain(case):
    return case


def collected(cases, read=plain, work=None, write=None, **more):
    written = []
    outcomes = carried(
        cases,
        read,
        work or (lambda case, here: here * 10),
        write or (lambda case, done: written.append((case, done))),
        **more,
    )
    return [(case, error and str(error)) for case, error in outcomes], written


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("together", [True, False])
def test_all_cases_come_off_in_their_order(count, together):
    outcomes, written = collected(list(range(count)), together=lambda here, following: together)
    assert outcomes == [(n, None) for n in range(count)]
    assert written == [(n, 10 * n) for n in range(count)]


@pytest.mark.parametrize("stage", ["read", "work", "write"])
@pytest.mark.parametrize("together", [True, False])
def test_what_goes_wrong_with_one_case_is_its_own(stage, together):
    def fails(case, *_):
        if case in (1, 2, 4):
            raise DataError(f"{case} is broken")
        return case

    outcomes, _ = collected(list(range(5)), **{stage: fails}, together=lambda here, following: together)
    assert outcomes == [(n, f"{n} is broken" if n in (1, 2, 4) else None) for n in range(5)]


def test_the_next_is_read_and_the_last_written_meanwhile():
    """Each waits for the other two: alone, none of them would end."""
    meeting = threading.Barrier(3, timeout=20)

    def read(case):
        if case == 2:
            meeting.wait()
        return case

    def work(case, here):
        if case == 1:
            meeting.wait()
        return here

    def write(case, done):
        if case == 0:
            meeting.wait()

    outcomes, _ = collected([0, 1, 2], read, work, write)
    assert outcomes == [(0, None), (1, None), (2, None)]


def test_where_there_is_no_room_only_one_case_is_on_the_belt():
    busy, most = set(), []

    def during(step, case):
        busy.add((step, case))
        most.append(len(busy))
        time.sleep(0.002)
        busy.discard((step, case))
        return case

    outcomes, _ = collected(
        [0, 1, 2, 3],
        lambda case: during("read", case),
        lambda case, here: during("work", case),
        lambda case, done: during("write", case),
        together=lambda here, following: False,
    )
    assert len(outcomes) == 4
    assert max(most) <= 2  # one is written while the next is read, none while one is worked on


def test_who_interrupts_waits_for_what_is_being_written():
    written = []

    def write(case, done):
        time.sleep(0.05)
        written.append(case)

    def work(case, here):
        if case == 2:
            raise KeyboardInterrupt
        return here

    with pytest.raises(KeyboardInterrupt):
        collected(list(range(9)), plain, work, write)
    assert written == [0, 1]


def test_a_fault_of_the_program_is_not_taken_for_a_broken_case():
    def write(case, done):
        raise ZeroDivisionError("a fault")

    with pytest.raises(ZeroDivisionError, match="a fault"):
        collected([0, 1], write=write)
