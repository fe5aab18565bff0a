"""`listen`, `find`, `fetch` and `send` as people type them."""

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic.archive import Reason, Receive, open_queue, receiver

CONFIG = """
queue = "queue"
send_to = ["pacs"]
archives.pacs.address = "http://127.0.0.1:1/dicom-web"
[receive]
callers = ["PACS"]
[[rules]]
name = "balls"
model = "model"
match.modality = ["CT"]
"""


def typed(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def file(tmp_path):
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID, item.SOPInstanceUID = MRImageStorage, "1.2.3.4"
    item.StudyInstanceUID, item.SeriesInstanceUID, item.Modality = "1.2.1", "1.2.2", "MR"
    item.Rows, item.Columns, item.SeriesDescription = 4, 4, "t1 tra"
    stream = BytesIO()
    pydicom.dcmwrite(stream, item, enforce_file_format=True)
    path = tmp_path / "study" / "a.dcm"
    path.parent.mkdir()
    path.write_bytes(stream.getvalue())
    return path


@pytest.fixture
def config(tmp_path):
    (tmp_path / "listen.toml").write_text(CONFIG)
    return tmp_path / "listen.toml"


def test_a_study_is_tried_before_anything_listens(config, file):
    done = typed("listen", config, "--try", file.parent)
    assert done.exit_code == 0, done.output
    assert "t1 tra, 1 images" in done.output
    assert "modality is not CT" in done.output


def test_the_status_says_how_many_are_where_and_why_the_dead_died(config, file, tmp_path):
    with open_queue(tmp_path / "queue") as queue:
        queue.complete(queue.receive(file.read_bytes()).study, 0.0)
        folder = queue.take(0.0)
        queue.bury(folder, queue.visit(folder), Reason(kind="DataError", message="slices are missing"))
    done = typed("listen", config, "--status")
    assert done.exit_code == 0, done.output
    assert "slices are missing" in done.output
    assert "ready/" in done.output


def test_a_model_that_is_not_there_is_said_before_anything_is_received(config, tmp_path):
    done = typed("listen", config, "--once")
    assert done.exit_code == 1
    assert "rule balls" in str(done.exception)
    assert not (tmp_path / "queue").exists()


def test_files_are_sent(file):
    arrived = []
    ours = Receive(port=0, title="PACS", callers=("ME",))
    with receiver(ours, lambda content, caller: arrived.append(content)) as port:
        done = typed("send", file.parent, "--to", f"PACS@127.0.0.1:{port}", "--called", "ME")
    assert done.exit_code == 0, done.output
    assert "1 files stored" in done.output
    assert len(arrived) == 1


@pytest.mark.parametrize(
    "verb", [["send", "x", "--to"], ["find", "--at"], ["fetch", "1.2", "-o", "x", "--at"]]
)
def test_an_address_that_is_none_is_wrong_usage(verb):
    done = typed(*verb, "somewhere")
    assert done.exit_code == 2
    assert "is no address of an archive" in done.output.replace("\n", " ").replace("│", "")
