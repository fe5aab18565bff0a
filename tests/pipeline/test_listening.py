"""Studies come in, meet their models, and results go back: once, also when something fails meanwhile."""

import threading
import time
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from delineate.clinic import audit, open_series, read_seg
from delineate.clinic.archive import Access, Reason, WebArchive, open_queue
from delineate.errors import ArchiveError, ModelError
from delineate.io import read_volume
from delineate.pipeline import SegmentWishes, Unwatched, listen, segment
from delineate.pipeline.listening import Desk, tried
from delineate.pipeline.polling import Poller
from delineate.pipeline.service import read_service
from delineate.space.phantoms import balls

CODES = """name,synonyms,category,code,meaning,sides,region,color,role
large ball,,concept,99PHANTOM:1,Large ball,,,aa0000,
small ball,,concept,99PHANTOM:2,Small ball,,,00aa00,
"""
CONFIG = """
queue = "queue"
send_to = ["first", "second"]
retry = {{wait_s = 10, failures = 2, unsent = 3}}
archives.first.address = "http://127.0.0.1:1/first"
archives.second.address = "http://127.0.0.1:1/second"
[[poll]]
archive = "first"
every_s = 60
[[rules]]
name = "balls"
model = "{model}"
codes = "codes.csv"
match.modality = ["MR"]
match.images = [10, 100]
"""


def slices(study="1.2.1", count=16, **tags):
    """A phantom as the files of a series."""
    pixels = (100 * balls(np.random.default_rng(3), size=16)[0].array[0]).clip(0).astype(np.uint16)
    files = []
    for k in range(count):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID, item.SOPInstanceUID = MRImageStorage, f"{study}.9.{k}"
        item.SeriesInstanceUID, item.Modality = f"{study}.2", "MR"
        item.PatientID, item.PatientName = "QF-20077", "Quillfeather^Ada"
        item.StudyInstanceUID, item.FrameOfReferenceUID = study, "1.2.2"
        item.Rows = item.Columns = 16
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
        item.ImagePositionPatient, item.ImageOrientationPatient = [0, 0, k], [1, 0, 0, 0, 1, 0]
        item.PixelSpacing, item.SliceThickness = [1, 1], 1
        item.PixelData = pixels[:, :, k].T.tobytes()
        for name, value in tags.items():
            setattr(item, name, value)
        stream = BytesIO()
        pydicom.dcmwrite(stream, item, enforce_file_format=True)
        files.append(stream.getvalue())
    return files


class World:
    """A desk with a clock that is set by hand, and archives that fail when they are told to."""

    def __init__(self, folder, model, queue):
        (folder / "codes.csv").write_text(CODES)
        (folder / "listen.toml").write_text(CONFIG.format(model=model))
        self.queue, self.now, self.said = queue, 1e9, []
        self.got, self.failing = [], set()
        self.service = read_service(folder / "listen.toml")
        self.desk = Desk(self.service, queue, self.said.append, lambda: self.now, self.archive)

    def archive(self, access: Access):
        return FakeArchive(self, access.address.rpartition("/")[2])

    def receive(self, files):
        for content in files:
            self.queue.receive(content)
        self.desk.look(at_once=True)

    def work(self):
        while self.desk.work():
            pass
        return {state: n for state, n in self.queue.counts().items() if n}

    def reason(self):
        [reason] = self.queue.dead().values()
        return reason

    def uids(self, name):
        return [str(read(content).SOPInstanceUID) for to, content in self.got if to == name]


class FakeArchive:
    def __init__(self, world, name):
        self.world, self.name = world, name

    def send(self, files):
        if self.name in self.world.failing:
            raise ArchiveError(f"{self.name}: answers 503")
        self.world.got += [(self.name, file.read_bytes()) for file in files]


def read(content):
    return pydicom.dcmread(BytesIO(content))


@pytest.fixture
def world(tmp_path, finished):
    with open_queue(tmp_path / "queue") as queue:
        yield World(tmp_path, finished / "model", queue)


def test_a_study_is_segmented_and_everybody_gets_the_result(world, tmp_path, finished):
    world.receive(slices())
    assert world.work() == {"done": 1}
    assert sorted(to for to, _ in world.got) == ["first"] * 3 + ["second"] * 3
    assert world.uids("first") == world.uids("second")
    folder = tmp_path / "series"
    folder.mkdir()
    for number, content in enumerate(slices()):
        (folder / f"{number}.dcm").write_bytes(content)
    segment(finished / "model", [folder], tmp_path / "labels.nii.gz", SegmentWishes(), Unwatched())
    wanted = read_volume(tmp_path / "labels.nii.gz").array[0]
    sent = next(content for _, content in world.got if read(content).Modality == "SEG")
    (tmp_path / "seg.dcm").write_bytes(sent)
    found = read_seg(tmp_path / "seg.dcm", open_series(folder))
    for value, name in enumerate(("large ball", "small ball"), 1):
        seen = found.mask(name)
        assert seen.sum() == (wanted == value).sum()


def test_nothing_that_is_told_or_logged_names_anybody(world):
    world.receive(slices())
    world.work()
    log = world.service.audit_log
    assert audit.verify(log).ok
    events = [entry.event for entry in audit.read(log)]
    assert [event.kind for event in events] == ["study-received", "segment", "send", "send"]
    said = "\n".join([*world.said, log.read_text()])
    for word in ("QF-20077", "Quillfeather", "1.2.1"):
        assert word not in said
    assert events[1].patients == (world.queue.key.reference("QF-20077"),)


def leaning():
    """A study whose slices shift by a fifth of their distance each."""
    files = []
    for k, content in enumerate(slices()):
        item = read(content)
        item.ImagePositionPatient = [0, round(0.2 * k, 3), k]
        stream = BytesIO()
        pydicom.dcmwrite(stream, item, enforce_file_format=True)
        files.append(stream.getvalue())
    return files


def test_a_leaning_study_is_refused_unless_its_rule_says_straighten(world):
    world.receive(leaning())
    assert world.work() == {"dead": 1}
    assert "the gantry was tilted" in world.reason().message
    rule = world.service.rules[0].but(straighten=True)
    world.desk.service = world.service.but(rules=(rule,))
    [dead] = world.queue.dead()
    (world.queue.folder / "dead" / dead).rename(world.queue.folder / "ready" / dead)
    assert world.work() == {"done": 1}
    sent = [read(content) for to, content in world.got if to == "first"]
    assert {item.Modality for item in sent} >= {"SEG", "SR"}


def test_the_same_study_again_sends_nothing_again(world):
    world.receive(slices())
    world.work()
    before = len(world.got)
    world.receive(slices())
    assert world.work() == {"done": 2}
    assert len(world.got) == before
    assert "balls: the same images had a result before" in "\n".join(world.said)


def test_more_of_a_study_is_done_with_what_came_before(world):
    world.receive(slices()[:12])
    world.work()
    world.receive(slices()[12:])
    world.work()
    sent = [read(content) for to, content in world.got if to == "first"]
    contours = [item for item in sent if item.Modality == "RTSTRUCT"]
    assert [images_of(item) for item in contours] == [12, 16]
    assert len(set(world.uids("first"))) == 6


def images_of(contours):
    [frame] = contours.ReferencedFrameOfReferenceSequence
    [study] = frame.RTReferencedStudySequence
    return len(study.RTReferencedSeriesSequence[0].ContourImageSequence)


def test_a_study_of_which_more_came_before_its_turn_is_done_once(world):
    world.receive(slices()[:12])
    world.receive(slices()[12:])
    assert world.work() == {"done": 2}
    assert len(world.uids("first")) == 3
    assert "more of the study came: done with all of it" in "\n".join(world.said)


def test_an_archive_that_is_away_gets_the_same_result_later_and_others_get_it_once(world):
    world.failing = {"second"}
    world.receive(slices())
    assert world.work() == {"ready": 1}
    assert len(world.uids("first")) == 3
    world.failing.clear()
    assert world.work() == {"ready": 1}  # not yet
    world.now += 10
    assert world.work() == {"done": 1}
    assert world.uids("first") == world.uids("second")
    assert sum("segmented" in text for text in world.said) == 1


def test_patience_with_an_archive_ends_in_dead_and_moving_back_begins_anew(world):
    world.failing = {"second"}
    world.receive(slices())
    for _ in range(3):
        world.work()
        world.now += 1000
    assert world.queue.counts()["dead"] == 1
    assert world.reason().kind == "ArchiveError"
    world.receive(slices())  # sent again meanwhile: its result is in dead/, none is made beside it
    assert world.work() == {"done": 1, "dead": 1}
    world.failing.clear()
    [dead] = (world.queue.folder / "dead").iterdir()
    dead.rename(world.queue.folder / "ready" / dead.name)
    assert world.work() == {"done": 2}
    assert world.uids("first") == world.uids("second")
    assert len(world.uids("first")) == 3


def test_what_is_wrong_with_the_data_is_given_up_at_once(world):
    files = slices()
    files[3] = slices(Rows=8)[3]
    world.receive(files)
    assert world.work() == {"dead": 1}
    reason = world.reason()
    assert isinstance(reason, Reason)
    assert reason.kind == "DataError"
    assert "ready/" in reason.remedy
    assert "Quillfeather" not in "\n".join(world.said)
    assert [entry.event.kind for entry in audit.read(world.service.audit_log)][-1] == "dead-letter"


def test_what_may_pass_is_tried_again_and_then_given_up(world):
    rule = world.service.rules[0]
    world.desk.service = world.service.but(rules=(rule.but(model=rule.model.parent / "none"),))
    world.receive(slices())
    assert world.work() == {"ready": 1}
    world.now += 10
    assert world.work() == {"dead": 1}
    assert world.reason().kind == ModelError.__name__


def test_a_study_that_brings_the_program_down_is_given_up(world):
    world.receive(slices())
    for _ in range(world.service.retry.interruptions):
        assert world.queue.take(world.now) is not None
        world.queue.recover()  # as after the end of the process
    assert world.work() == {"dead": 1}
    assert "the program ended 5 times while it worked on this study" in world.reason().message


def test_a_rule_that_is_gone_is_said(world):
    world.failing = {"second"}
    world.receive(slices())
    world.work()
    world.now += 10
    rule = world.service.rules[0].but(name="other")
    world.desk.service = world.service.but(rules=(rule,))
    assert world.work() == {"dead": 1}
    assert "there is no rule balls any more" in world.reason().message


def test_a_fault_of_ours_does_not_stop_the_studies_that_follow(world):
    world.receive(slices("1.2.5"))
    world.receive(slices("1.2.6"))

    class Broken(FakeArchive):
        def send(self, files):
            raise KeyError("Quillfeather")

    world.desk.archive = lambda access: Broken(world, "first")
    world.desk.work()
    world.desk.archive = world.archive
    assert world.work() == {"done": 1, "dead": 1}
    assert "Quillfeather" not in "\n".join(world.said)


def test_a_study_that_no_rule_fits_is_done_and_says_why(world):
    world.receive(slices(Modality="CT"))
    assert world.work() == {"done": 1}
    [folder] = (world.queue.folder / "done").iterdir()
    visit = world.queue.visit(folder)
    assert visit.outcome == "no rule fits"
    assert "modality is not MR" in visit.notes[0]


def test_a_study_is_complete_when_it_is_quiet_or_has_all_its_images(world):
    for content in slices():
        world.queue.receive(content)
    world.now = time.time() + 10
    world.desk.look()
    assert world.queue.counts()["incoming"] == 1
    world.now += 30
    world.desk.look()
    assert world.queue.counts()["ready"] == 1
    for content in slices("1.2.8"):
        world.queue.receive(content)
    world.now = time.time()
    world.desk.service = world.service.but(complete=world.service.complete.but(images=16))
    world.desk.look()
    assert world.queue.counts()["ready"] == 2


class Polled(WebArchive):
    """An archive that has studies, and counts how often they are fetched."""

    def __init__(self, studies):
        super().__init__(Access(address="http://127.0.0.1:1/first"))
        self.studies, self.fetched, self.away = studies, [], False

    def find(self, level, filters):
        if self.away:
            raise ArchiveError("first: does not answer")
        items = []
        for uid, files in self.studies.items():
            for n, modality in enumerate(("MR", "SEG") if level == "SERIES" else ("MR",)):
                item = Dataset()
                item.StudyInstanceUID, item.SeriesInstanceUID = uid, f"{uid}.{n}"
                item.Modality, item.NumberOfSeriesRelatedInstances = modality, len(files)
                items.append(item)
        return tuple(items)

    def fetch(self, study, series, take):
        self.fetched.append(series)
        for content in self.studies[study]:
            take(content)
        return len(self.studies[study])


def test_archives_are_asked_from_time_to_time_and_studies_fetched_when_they_stay_the_same(world):
    archive = Polled({"1.2.1": slices()[:15]})
    poller = Poller(world.service, world.queue, world.said.append, lambda access: archive)
    poller.ask(0.0)
    assert archive.fetched == []  # it may still be growing
    poller.ask(30.0)
    assert archive.fetched == []  # not its turn
    poller.ask(60.0)
    assert archive.fetched == ["1.2.1.0"]  # and no results
    poller.ask(120.0)
    assert len(archive.fetched) == 1
    archive.studies["1.2.1"] = [*slices(), b"nonsense"]
    poller.ask(180.0)
    poller.ask(240.0)
    assert len(archive.fetched) == 2
    assert "a file of an archive was left out" in "\n".join(world.said)
    archive.away = True
    poller.ask(300.0)
    assert world.said[-1] == "first: first: does not answer"


def test_a_study_in_a_folder_can_be_tried(world, tmp_path):
    (tmp_path / "series").mkdir()
    for number, content in enumerate(slices(SeriesDescription="t1 tra")):
        (tmp_path / "series" / f"{number}.dcm").write_bytes(content)
    assert tried(world.service, tmp_path / "series") == (("balls", "MR t1 tra, 16 images", "goes to model"),)


def test_listening_once_does_what_is_there_and_ends(tmp_path, finished):
    (tmp_path / "codes.csv").write_text(CODES)
    text = CONFIG.format(model=finished / "model").replace(
        "[[poll]]", "[receive]\ncallers=['*']\nport=0\n[[none]]"
    )
    text = text[: text.index("[[none]]")] + text[text.index("[[rules]]") :]
    (tmp_path / "listen.toml").write_text(text)
    service = read_service(tmp_path / "listen.toml")
    with open_queue(service.queue) as queue:
        for content in slices(Modality="CT"):
            queue.receive(content)
    said = []
    listen(service, said.append, threading.Event(), once=True)
    assert said[-1].endswith("done: no rule fits")
    stop = threading.Event()
    ended = threading.Thread(target=listen, args=(service, said.append, stop))
    ended.start()
    while not any(text.startswith("listening as DELINEATE on 127.0.0.1:") for text in said):
        time.sleep(0.05)
    stop.set()
    ended.join(timeout=30)
    assert not ended.is_alive()
