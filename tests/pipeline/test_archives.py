"""Files go to an archive and come back, and what cannot be is said before anything is asked."""

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from delineate.clinic.archive import Access, NodeArchive, Receive, receiver
from delineate.errors import DataError
from delineate.pipeline import fetch, find, send

OURS = Receive(port=0, title="PACS", callers=("DELINEATE",))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "series").mkdir()
    for number, content in enumerate(series_of(3)):
        (tmp_path / "series" / f"{number}.dcm").write_bytes(content)
    (tmp_path / "series" / "note.txt").write_text("no image")
    return tmp_path / "series"


def test_all_dicom_files_of_a_folder_are_sent(folder):
    arrived, told = [], []
    with receiver(OURS, lambda content, caller: arrived.append(content)) as port:
        access = Access(address=f"PACS@127.0.0.1:{port}")
        assert send([folder], access, progress=lambda *words: told.append(words)) == 3
    assert len(arrived) == 3
    assert told[-1][:2] == (3, 3)


def test_what_is_not_there_or_no_dicom_is_not_sent(folder):
    access = Access(address="PACS@127.0.0.1:1")
    with pytest.raises(DataError, match="no such file or folder"):
        send([folder / "none"], access)
    with pytest.raises(DataError, match="no DICOM here"):
        send([folder / "note.txt"], access)


def test_filters_are_attributes():
    with pytest.raises(DataError, match="Patient: is no attribute to search by"):
        find("STUDY", ("Patient=7",), Access(address="http://127.0.0.1:1/x"))
    with pytest.raises(DataError, match="expected KEYWORD=VALUE"):
        find("STUDY", ("PatientID",), Access(address="http://127.0.0.1:1/x"))


def test_a_node_must_know_where_to_send(tmp_path):
    with pytest.raises(DataError, match="sends what it is asked for to a port of this machine"):
        fetch("1.2", None, tmp_path, Access(address="PACS@127.0.0.1:1"))


def test_a_node_sends_what_it_is_asked_for(folder, tmp_path, monkeypatch):
    """The archive is one that sends by itself when it is asked to move."""
    free = receiver_port()

    def move(self, study, series, to):
        back = NodeArchive(Access(address=f"{to}@127.0.0.1:{free}", called="PACS"))
        back.send(sorted(folder.glob("*.dcm")))
        return 3

    monkeypatch.setattr(NodeArchive, "move", move)
    assert fetch("1.2", None, tmp_path / "out", Access(address="PACS@127.0.0.1:1"), port=free) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"1.2.1.9.{k}.dcm" for k in range(3)
    ]


def series_of(count):
    for k in range(count):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID, item.SOPInstanceUID = MRImageStorage, f"1.2.1.9.{k}"
        item.StudyInstanceUID, item.SeriesInstanceUID, item.Modality = "1.2.1", "1.2.1.2", "MR"
        stream = BytesIO()
        pydicom.dcmwrite(stream, item, enforce_file_format=True)
        yield stream.getvalue()


def receiver_port():
    with receiver(OURS, lambda content, caller: None) as port:
        return port
