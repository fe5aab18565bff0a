"""DICOMweb against a server in this process that answers as servers do, also badly."""

import json
import socket
import ssl

import pytest

from delineate.clinic.archive import Access, WebArchive
from delineate.clinic.archive.multipart import packed
from delineate.errors import ArchiveError

JSON = "application/dicom+json"


def studies(*uids):
    return json.dumps(
        [{"0020000D": {"vr": "UI", "Value": [uid]}, "00100010": {"vr": "PN"}} for uid in uids]
    ).encode()


@pytest.fixture
def archive(fake):
    waits = []
    archive = WebArchive(Access(address=fake.url, tries=3), sleep=waits.append)
    archive.waits = waits
    return archive


def test_finding_asks_at_the_right_place(archive, fake):
    fake.says("GET", (200, JSON, studies("1.2", "1.3")))
    found = archive.find("STUDY", {"PatientID": "Q 7"})
    assert [item.StudyInstanceUID for item in found] == ["1.2", "1.3"]
    assert fake.asked[0][1].startswith("/dicom-web/studies?PatientID=Q%207&")
    archive.find("STUDY", {"PatientID": "Q*", "PatientName": "A^B"})
    assert fake.asked[-1][1].startswith("/dicom-web/studies?PatientID=Q*&PatientName=A%5EB&")
    archive.find("SERIES", {"StudyInstanceUID": "1.2"})
    assert fake.asked[-1][1].startswith("/dicom-web/studies/1.2/series?")
    archive.find("IMAGE", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.4"})
    assert fake.asked[-1][1].startswith("/dicom-web/studies/1.2/series/1.4/instances?")


def test_answers_come_page_by_page(archive, fake, monkeypatch):
    monkeypatch.setattr("delineate.clinic.archive.web.PAGE", 2)
    fake.says("GET", (200, JSON, studies("1", "2")), (200, JSON, studies("3")))
    assert [item.StudyInstanceUID for item in archive.find("STUDY", {})] == ["1", "2", "3"]
    assert "offset=2" in fake.asked[1][1]
    fake.says("GET", (200, JSON, studies("1", "2")))  # a server that knows no pages
    assert len(archive.find("STUDY", {})) == 2


def test_nothing_found_is_nothing(archive, fake):
    fake.says("GET", (204, JSON, b""))
    assert archive.find("STUDY", {}) == ()
    archive.check()


def test_files_are_fetched_one_by_one(archive, fake):
    kind, body = packed(b"first")
    fake.says("GET", (200, kind, body))
    taken = []
    assert archive.fetch("1.2", "1.3", taken.append) == 1
    assert taken == [b"first"]
    assert fake.asked[0][1] == "/dicom-web/studies/1.2/series/1.3"
    assert "transfer-syntax=*" in fake.asked[0][2]["Accept"]


def test_what_fails_for_now_is_asked_again(archive, fake, file):
    fake.stores("1.2.3.4")
    ready = fake.answers["POST"][0]
    fake.says("POST", (503, "text/plain", b""), (500, "text/plain", b""), ready)
    archive.send([file])
    assert archive.waits == [1, 2]
    fake.says("GET", (503, "text/plain", b""))
    with pytest.raises(ArchiveError, match="answers 503 Service Unavailable, 3 times"):
        archive.check()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (401, r"does not let us in \(401\)"),
        (403, r"does not let us in \(403\)"),
        (404, "refuses \\(404 Not Found\\)"),
        (302, "sends us elsewhere"),
    ],
)
def test_what_fails_for_good_is_said_at_once(archive, fake, code, message):
    fake.says("GET", (code, "text/plain", b"Quillfeather^Ada is not here"))
    with pytest.raises(ArchiveError, match=message) as caught:
        archive.check()
    assert "Quillfeather" not in str(caught.value)
    assert archive.waits == []


def test_nothing_is_believed_to_be_stored_that_is_not_listed(archive, fake, file):
    fake.says("POST", (200, JSON, b""))
    with pytest.raises(ArchiveError, match="it does not list the object"):
        archive.send([file])
    fake.stores("9.9", failed=[0xA700])
    with pytest.raises(ArchiveError, match="failure A700H"):
        archive.send([file])
    fake.says("POST", (200, "text/html", b"<html>"))
    with pytest.raises(ArchiveError, match="answered a store with something else"):
        archive.send([file])


def test_a_search_that_is_answered_with_a_page_is_an_error(archive, fake):
    fake.says("GET", (200, "text/html", b"<html>"))
    with pytest.raises(ArchiveError, match="answered a search with something else"):
        archive.find("STUDY", {})


def test_nobody_there(file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        archive = WebArchive(Access(address=f"http://127.0.0.1:{taken.getsockname()[1]}", tries=2, wait_s=0))
        with pytest.raises(ArchiveError, match=r"does not answer .*, 2 times"):
            archive.check()


def test_credentials_are_shown_to_the_archive_and_in_no_message(fake, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("Bearer s3cret")
    secret.chmod(0o600)
    fake.says("GET", (401, "text/plain", b""))
    archive = WebArchive(Access(address=fake.url, credentials=secret))
    with pytest.raises(ArchiveError) as caught:
        archive.check()
    assert fake.asked[0][2]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value)


def test_a_certificate_that_nobody_signed_is_refused(fake, monkeypatch):
    """Against a plain server TLS cannot begin; what is said names the address and no stack."""
    archive = WebArchive(Access(address=fake.url.replace("http:", "https:"), tries=1))
    assert archive.access.tls_context.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(ArchiveError, match=r"https://127\.0\.0\.1"):
        archive.check()
