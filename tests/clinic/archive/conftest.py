"""A file of somebody, an archive, and queues."""

import sys
from importlib import util
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from clinic_stacks import Stack, image
from pydicom.uid import generate_uid

from delineate.clinic.archive import open_queue

SPEC = util.spec_from_file_location("archive_server", Path(__file__).with_name("archive_server.py"))
server = util.module_from_spec(SPEC)
sys.modules[SPEC.name] = server
SPEC.loader.exec_module(server)


def content_of(study="1.2.3.1", series="1.2.3.2", uid=None, **tags):
    """One slice as the bytes of a file."""
    item = image(Stack(), 0, StudyInstanceUID=study, SeriesInstanceUID=series, **tags)
    item.SOPInstanceUID = uid or generate_uid()
    stream = BytesIO()
    pydicom.dcmwrite(stream, item, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "image.dcm"
    path.write_bytes(content_of(uid="1.2.3.4"))
    return path


@pytest.fixture
def fake():
    with server.served(server.FakeArchive()) as archive:
        yield archive


@pytest.fixture
def queue(tmp_path):
    with open_queue(tmp_path / "queue") as opened:
        yield opened


@pytest.fixture
def make_file():
    return content_of
