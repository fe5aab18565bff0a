"""A file of somebody, an archive that is a web server in this process, and queues."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pydicom
import pytest
from clinic_stacks import Stack, image
from pydicom.uid import generate_uid

from delineate.clinic.archive import open_queue


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


@dataclass
class FakeArchive:
    """What a server answers, by method, one after the other; the last one again and again."""

    answers: dict[str, list[tuple[int, str, bytes]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def says(self, method, *answers):
        self.answers[method] = [(code, kind, body) for code, kind, body in answers]

    def stores(self, *uids, code=200, failed=()):
        answer = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"Value": [uid]}} for uid in uids]}}
        if failed:
            answer["00081198"] = {"vr": "SQ", "Value": [{"00081197": {"Value": [n]}} for n in failed]}
        self.says("POST", (code, "application/dicom+json", json.dumps(answer).encode()))


@contextmanager
def served(archive):
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            archive.asked.append((self.command, self.path, dict(self.headers)))
            waiting = archive.answers[self.command]
            code, kind, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - names that the library looks for

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        archive.url = f"http://127.0.0.1:{server.server_port}/dicom-web"
        yield archive
        server.shutdown()
        thread.join()


@pytest.fixture
def fake():
    with served(FakeArchive()) as archive:
        yield archive


@pytest.fixture
def queue(tmp_path):
    with open_queue(tmp_path / "queue") as opened:
        yield opened


@pytest.fixture
def make_file():
    return content_of
