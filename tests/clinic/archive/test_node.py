"""DIMSE: what is sent arrives byte for byte, callers are let in by name, refusals are said."""

import socket
import sys

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from delineate.clinic import archive
from delineate.clinic.archive import Access, NodeArchive, Receive, receiver
from delineate.errors import ArchiveError, DataError, MissingPackage

OURS = Receive(port=0, callers=("DELINEATE", "CT1"))


def node(port, **options):
    options = {"tries": 2, "wait_s": 0.0, "timeout_s": 5.0, **options}
    return NodeArchive(Access(address=f"DELINEATE@127.0.0.1:{port}", **options))


def test_what_is_sent_arrives(file):
    arrived = []
    with receiver(OURS, lambda content, caller: arrived.append((content, caller))) as port:
        node(port).check()
        node(port, called="CT1").send([file, file])
    assert [caller for _, caller in arrived] == ["CT1", "CT1"]
    sent, came = pydicom.dcmread(file), pydicom.dcmread(pydicom.filebase.DicomBytesIO(arrived[0][0]))
    assert came == sent
    assert came.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID


def test_a_caller_that_is_not_listed_is_not_let_in(file):
    with receiver(OURS, lambda content, caller: None) as port:
        with pytest.raises(ArchiveError, match=r"does not let us in as STRANGER: .*AE title") as caught:
            node(port, called="STRANGER").send([file])
        assert "Calling AE title not recognised" in str(caught.value)
    with receiver(OURS.but(callers=("*",)), lambda content, caller: None) as port:
        node(port, called="STRANGER").send([file])


def test_another_name_than_ours_is_not_answered_to(file):
    with (
        receiver(OURS.but(title="OTHER"), lambda content, caller: None) as port,
        pytest.raises(ArchiveError, match="Called AE title not recognised"),
    ):
        node(port).check()


def test_who_sends_more_than_is_taken_in_is_cut_off(file, tmp_path):
    content = pydicom.dcmread(file)
    content.EncapsulatedDocument = bytes(3_000_000)
    content.save_as(tmp_path / "large.dcm")
    arrived, said = [], []
    small = OURS.but(largest_gb=0.001)
    with receiver(
        small, lambda content, caller: arrived.append(len(content)), refused=lambda *words: said.append(words)
    ) as port:
        node(port).send([file])
        with pytest.raises(ArchiveError):
            node(port).send([tmp_path / "large.dcm"])
        node(port).send([file] * 3)  # what was sent before does not count
    assert len(arrived) == 4
    assert set(said) == {("it is larger than 0.001 GB", "DELINEATE")}


def test_a_full_disk_is_told_to_the_sender_who_tries_again(file):
    said, room = [], [False, True]

    def keep(content, caller):
        if not room.pop(0):
            raise OSError(28, "No space left on device")

    with receiver(OURS, keep, refused=lambda why, caller: said.append(why)) as port:
        node(port).send([file])  # the second try succeeds
        assert said == ["no room or no permission on the disk (No space left on device)"]
        room += [False, False]
        with pytest.raises(ArchiveError, match=r"is out of resources \(A700H\) during C-STORE, 2 times"):
            node(port).send([file])


def test_what_is_stored_is_not_sent_again_where_the_node_fails_meanwhile(file):
    arrived, full = [], [OSError("no space left")]

    def keep(content, caller):
        if len(arrived) == 2 and full:
            raise full.pop()
        arrived.append(content)

    with receiver(OURS, keep) as port:
        node(port).send([file] * 4)
    assert len(arrived) == 4
    assert not full


def test_a_file_that_cannot_be_used_is_refused_for_good(file):
    def keep(content, caller):
        raise DataError("has no StudyInstanceUID")

    said = []
    with (
        receiver(OURS, keep, refused=lambda why, caller: said.append(why)) as port,
        pytest.raises(ArchiveError, match=r"refuses C-STORE \(C000H\)"),
    ):
        node(port).send([file])
    assert said == ["has no StudyInstanceUID"]


def test_a_file_without_identity_is_not_sent(file):
    content = pydicom.dcmread(file)
    del content.SOPInstanceUID
    content.save_as(file)
    with pytest.raises(DataError, match="without SOP class, SOP instance or transfer syntax"):
        node(1).send([file])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom drops its socket
def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ArchiveError, match="cannot be reached, 2 times"):
            node(taken.getsockname()[1]).check()


def test_a_port_that_is_taken_is_said():
    with (
        receiver(OURS, lambda content, caller: None) as port,
        pytest.raises(DataError, match=f"127.0.0.1:{port}: nothing can be received there"),
        receiver(OURS.but(port=port), lambda content, caller: None),
    ):
        pass


@pytest.mark.parametrize("name", ["NodeArchive", "receiver"])
def test_a_missing_package_is_named_with_the_way_around_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    for module in ("node", "scp", "wire"):
        monkeypatch.delitem(sys.modules, f"delineate.clinic.archive.{module}", raising=False)
    with pytest.raises(
        MissingPackage, match=r"pip install 'delineate\[dicom\]'(.|\n)*DICOMweb works without it"
    ):
        getattr(archive, name)


def archive_of(find=None, move=None):
    """A node that finds and moves, and takes nothing."""
    ours = AE(ae_title="DELINEATE")
    ours.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ours.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    ours.add_requested_context(CTImageStorage)
    handlers = [(evt.EVT_C_FIND, find)] if find else []
    handlers += [(evt.EVT_C_MOVE, move)] if move else []
    server = ours.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    return ours, server.server_address[1]


def test_finding_asks_for_what_it_needs_and_gives_what_was_found():
    asked = []

    def find(event):
        asked.append(event.identifier)
        item = Dataset()
        item.StudyInstanceUID, item.PatientID = "1.2", "7"
        yield 0xFF00, item
        yield 0x0000, None

    ours, port = archive_of(find)
    try:
        found = node(port).find("STUDY", {"PatientID": "7"})
    finally:
        ours.shutdown()
    assert [item.StudyInstanceUID for item in found] == ["1.2"]
    assert (asked[0].QueryRetrieveLevel, asked[0].PatientID) == ("STUDY", "7")


def test_a_search_that_is_refused_is_an_error():
    def find(event):
        yield 0xC001, None

    ours, port = archive_of(find)
    try:
        with pytest.raises(ArchiveError, match=r"refuses C-FIND \(C001H\)"):
            node(port).find("STUDY", {})
        with pytest.raises(ArchiveError, match=r"takes no objects|cannot be reached"):
            node(port).send([])
            node(port).check()
    finally:
        ours.shutdown()


def test_moving_tells_where_to_and_counts(file):
    moved = []
    with receiver(OURS.but(callers=("*",)), lambda content, caller: moved.append(content)) as port:

        def move(event):
            assert event.move_destination == "DELINEATE"
            yield "127.0.0.1", port
            yield 1
            yield 0xFF00, pydicom.dcmread(file)

        ours, there = archive_of(move=move)
        try:
            assert node(there).move("1.2", "1.3", "DELINEATE") == 1
        finally:
            ours.shutdown()
    assert len(moved) == 1


def test_a_destination_that_nobody_knows_is_said():
    def move(event):
        yield None, None

    ours, port = archive_of(move=move)
    try:
        with pytest.raises(ArchiveError, match=r"refuses C-MOVE to NOBODY \(A801H\)"):
            node(port).move("1.2", None, "NOBODY")
    finally:
        ours.shutdown()
