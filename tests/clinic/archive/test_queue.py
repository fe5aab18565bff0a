"""Nothing that was received is lost, nothing is done twice, and no name of a folder names anybody."""

import threading

import pytest

from delineate.clinic.archive import Job, Queue, Reason, look, open_queue
from delineate.clinic.archive.queue import DAY_S, IMAGES
from delineate.errors import DataError, RunError

JOB = Job(rule="r", series=("s",), drawn_on="s", identity="i" * 64)


def names(queue, state):
    return sorted(path.name for path in (queue.folder / state).iterdir())


def test_a_file_is_kept_under_references(queue, make_file):
    content = make_file()
    arrival = queue.receive(content)
    file = queue.folder / "incoming" / arrival.study / arrival.series / f"{arrival.image}.dcm"
    assert file.read_bytes() == content
    assert not names(queue, "spool")
    listed = " ".join(str(path) for path in queue.folder.rglob("*"))
    assert "1.2.3" not in listed.replace(str(queue.folder), "")
    assert (queue.folder.stat().st_mode & 0o777, (queue.folder / "key").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_the_same_file_twice_is_one(queue, make_file):
    content = make_file()
    assert queue.receive(content) == queue.receive(content)
    [(images, _)] = queue.incoming().values()
    assert images == 1


@pytest.mark.parametrize(
    ("content", "message"), [(b"nonsense", "cannot be read as DICOM"), (None, "has no StudyInstanceUID")]
)
def test_what_is_no_use_is_refused_without_words_of_it(queue, make_file, content, message):
    content = content or make_file(study="")
    with pytest.raises(DataError, match=message) as caught:
        queue.receive(content)
    assert "Müller" not in str(caught.value)
    assert not queue.incoming()


def test_room_is_left_on_the_disk(tmp_path, make_file):
    with open_queue(tmp_path / "q", reserve=1000, free=lambda folder: 2000) as queue:
        with pytest.raises(OSError, match="No space left beside what is reserved"):
            queue.receive(make_file() + b"\0" * 2000)
        assert not names(queue, "spool") + names(queue, "incoming")


def test_a_study_goes_from_state_to_state(queue, make_file):
    study = queue.receive(make_file()).study
    queue.receive(make_file())
    visit = queue.complete(study, 100.0)
    assert (visit.name, visit.images, visit.received) == (f"{study}.1", 2, "1970-01-01T00:01:40+00:00")
    folder = queue.take(100.0)
    assert folder == queue.folder / "working" / visit.name
    assert queue.take(100.0) is None
    queue.again(folder, visit.but(not_before=500.0))
    assert queue.take(499.0) is None
    folder = queue.take(500.0)
    queue.finish(folder, queue.visit(folder).but(outcome="done"))
    assert queue.counts() == {"incoming": 0, "ready": 0, "working": 0, "done": 1, "dead": 0}


def test_the_dead_say_why_and_come_back_by_hand(queue, make_file):
    study = queue.receive(make_file()).study
    queue.complete(study, 0.0)
    folder = queue.take(0.0)
    queue.bury(
        folder, queue.visit(folder).but(failures=3, not_before=9e9), Reason(kind="DataError", message="m")
    )
    assert {name: reason.message for name, reason in queue.dead().items()} == {f"{study}.1": "m"}
    (queue.folder / "dead" / f"{study}.1").rename(queue.folder / "ready" / f"{study}.1")
    folder = queue.take(0.0)
    assert queue.visit(folder).failures == 0
    assert not (folder / "reason.json").exists()


def test_what_came_later_is_joined_with_what_came_before(queue, make_file):
    study = queue.receive(make_file()).study
    first = queue.complete(study, 0.0)
    queue.receive(make_file())
    assert not queue.superseded(first)
    second = queue.complete(study, 1.0)
    assert (second.number, second.images) == (2, 2)
    assert queue.superseded(first)
    assert not queue.superseded(second)
    assert not queue.superseded(first.but(jobs=(JOB.but(state="delivered"),)))  # its result was made


def test_a_result_is_claimed_by_the_visit_that_made_it(queue, make_file):
    study = queue.receive(make_file()).study
    visit = queue.complete(study, 0.0)
    assert queue.made_in("x") is None
    queue.claim("x", visit)
    assert queue.made_in("x") == visit.name
    (queue.folder / "ready" / visit.name).rename(queue.folder / "gone")  # by hand
    assert queue.made_in("x") is None


def test_an_interrupted_study_is_ready_again_and_that_is_counted(tmp_path, make_file):
    with open_queue(tmp_path / "q") as queue:
        queue.complete(queue.receive(make_file()).study, 0.0)
        folder = queue.take(0.0)
        (queue.folder / "spool" / "half").write_bytes(b"x")
        (folder / ".ab12.partial-results").mkdir()
    with open_queue(tmp_path / "q") as queue:
        [visit] = queue.recover()
        assert visit.interruptions == 1
        assert queue.counts()["ready"] == 1
        assert not names(queue, "spool")
        assert not list(queue.folder.rglob(".*partial*"))


def test_one_process_has_a_queue(tmp_path):
    with open_queue(tmp_path / "q"):
        with pytest.raises(RunError, match="another process works on this queue"), open_queue(tmp_path / "q"):
            pass
        assert look(tmp_path / "q").counts()["done"] == 0
    with pytest.raises(DataError, match="is no queue"):
        look(tmp_path / "other")


def test_old_images_go_and_what_was_done_stays_known(queue, make_file):
    study = queue.receive(make_file()).study
    queue.complete(study, 0.0)
    folder = queue.take(0.0)
    queue.finish(folder, queue.visit(folder))
    kept = queue.folder / "done" / folder.name
    now = (kept / "study.json").stat().st_mtime
    assert queue.tidy(now + 6 * DAY_S, keep_days=7) == 0
    assert queue.tidy(now + 8 * DAY_S, keep_days=7) == 1
    assert [path.name for path in kept.iterdir()] == ["study.json"]
    assert queue.tidy(now + 8 * DAY_S, keep_days=7) == 0


def test_files_that_come_while_a_study_moves_are_in_one_visit_or_the_next(queue: Queue, make_file):
    contents = [make_file() for _ in range(40)]
    sender = threading.Thread(target=lambda: [queue.receive(content) for content in contents])
    sender.start()
    while sender.is_alive():
        for study in queue.incoming():
            queue.complete(study, 0.0)
    sender.join()
    for study in queue.incoming():
        queue.complete(study, 0.0)
    last = max((queue.folder / "ready").iterdir(), key=lambda path: int(path.suffix[1:]))
    assert len(list(last.glob(IMAGES))) == len(contents)
    assert len({path.stat().st_ino for path in (queue.folder / "ready").glob(f"*/{IMAGES}")}) == len(contents)
