import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.clinic import audit
from delineate.clinic.audit import Entry, Event, Head, append, read, to_fhir, verify
from delineate.errors import DataError

TIME = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
EVENT = Event(
    kind="segment", agent="ada", patients=("ab12",), objects=("cd34",), details={"voxels": 12, "share": 0.25}
)


@pytest.fixture
def log(tmp_path):
    """A log of six lines."""
    path = tmp_path / "audit.jsonl"
    for number in range(6):
        append(path, EVENT.but(details={"number": number}), time=TIME)
    return path


def test_a_log_that_nobody_touched_holds_and_gives_its_events_back(log):
    verdict = verify(log)
    assert verdict.ok
    assert verdict.entries == 6
    assert [entry.event.details["number"] for entry in read(log)] == list(range(6))
    assert read(log)[0].time == "2031-05-06T07:08:09.000+00:00"
    assert verdict.lines()[0] == "6 entries: the chain holds"


@given(place=st.integers(0, 10**6), to=st.integers(0, 255))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_of_any_line_that_is_changed_is_found(log, place, to):
    content = bytearray(log.read_bytes())
    place %= len(content)
    if content[place] == to:
        return
    before = content[place]
    content[place] = to
    log.write_bytes(content)
    verdict = verify(log)
    content[place] = before
    log.write_bytes(content)
    assert not verdict.ok


@pytest.mark.parametrize("number", range(6))
def test_a_line_that_is_removed_doubled_or_moved_is_found(log, number):
    lines = log.read_bytes().splitlines(keepends=True)
    without = [*lines[:number], *lines[number + 1 :]]
    doubled = [*lines[: number + 1], *lines[number:]]
    moved = [*without, lines[number]]
    for changed in (without, doubled, moved):
        log.write_bytes(b"".join(changed))
        assert verify(log).ok == (changed == lines)


@pytest.mark.parametrize("number", range(6))
def test_a_line_written_anew_with_a_right_hash_is_found_by_what_follows_it_or_by_the_head(log, number):
    lines = log.read_bytes().splitlines()
    entry = Entry.model_validate_json(lines[number])
    last = Head(number=entry.number - 1, hash=entry.previous)
    forged = Entry.after(last, entry.event.but(agent="eve"), TIME)
    lines[number] = audit._line(forged.model_dump(mode="json"))
    log.write_bytes(b"\n".join(lines) + b"\n")
    said = "written anew" if number == 5 else "does not follow the line before it"
    assert said in verify(log).problems[0]


def test_lines_taken_from_the_end_are_found_by_the_head_beside_the_log(log):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:4]))
    assert "entry 6 is missing, which its head file knows" in verify(log).problems[0]
    with pytest.raises(DataError, match="ends with entry 4, but entry 6 once followed"):
        append(log, EVENT)
    log.with_name("audit.jsonl.head").unlink()
    assert "its head file is missing" in verify(log).problems[0]


def test_a_log_rewritten_to_its_end_is_found_by_a_head_that_was_kept_elsewhere(log, tmp_path):
    kept = verify(log).head
    log.unlink()
    log.with_name("audit.jsonl.head").unlink()
    for number in range(7):
        append(log, EVENT.but(details={"other": number}), time=TIME)
    assert verify(log).ok
    verdict = verify(log, head=Head.parse(str(kept)))
    assert "entry 6 is not the one that the given head knows" in verdict.problems[0]


def test_a_torn_last_line_is_kept_stated_and_gone_on_from(log):
    whole = log.read_bytes()
    log.write_bytes(whole + whole.splitlines()[0][:40])
    assert verify(log).ok
    assert "line 7: is torn" in verify(log).notes[0]
    append(log, EVENT, time=TIME)
    verdict = verify(log)
    assert verdict.ok
    assert verdict.entries == 8
    assert verdict.notes == ("line 7: was torn when a process was stopped; line 8 says so",)
    lines = log.read_bytes().splitlines()
    assert lines[6] == whole.splitlines()[0][:40]
    assert Entry.model_validate_json(lines[7]).event.kind == audit.TORN
    log.write_bytes(log.read_bytes().replace(lines[6] + b"\n", b"something else\n"))
    assert not verify(log).ok


def _write(log: Path, name: str) -> None:
    for number in range(20):
        append(log, Event(kind="test", agent=name, details={"number": number}))


def test_many_processes_write_one_chain_and_lose_nothing(tmp_path):
    log = tmp_path / "many.jsonl"
    context = multiprocessing.get_context("spawn")
    running = [context.Process(target=_write, args=(log, str(n))) for n in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert verify(log).ok
    entries = read(log)
    assert [entry.number for entry in entries] == list(range(1, 61))
    for n in range(3):
        assert [e.event.details["number"] for e in entries if e.event.agent == str(n)] == list(range(20))


def test_a_log_is_exported_as_fhir_audit_events(log):
    bundle = to_fhir(log)
    event = bundle["entry"][0]["resource"]
    assert len(bundle["entry"]) == 6
    assert (event["action"], event["outcome"]) == ("E", "0")
    assert event["entity"][0]["what"]["identifier"]["value"] == "ab12"
    r4b = pytest.importorskip("fhir.resources.R4B.bundle", reason="fhir.resources is not installed")
    checked = r4b.Bundle.model_validate_json(json.dumps(bundle))
    assert checked.entry[5].resource.subtype[0].code == "segment"


def test_a_log_that_does_not_verify_is_not_exported(log):
    log.write_bytes(log.read_bytes().replace(b"ada", b"eve", 1))
    with pytest.raises(DataError, match="does not verify, and so is not exported: line 1: was changed"):
        to_fhir(log)


def test_what_is_no_log_is_refused(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("Dear diary\n")
    with pytest.raises(DataError, match="is no audit log"):
        append(other, EVENT)
    assert not verify(other).ok
    with pytest.raises(DataError, match="cannot be read"):
        verify(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="is no head of a log"):
        Head.parse("6:abc")
