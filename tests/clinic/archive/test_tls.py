"""Encrypted: who cannot show the right certificate is not spoken with."""

import ssl
import subprocess
from shutil import which

import pytest
from archive_server import FakeArchive, served

from delineate.clinic.archive import Access, NodeArchive, Receive, WebArchive, receiver
from delineate.errors import ArchiveError, DataError

pytestmark = [
    pytest.mark.skipif(which("openssl") is None, reason="no openssl here to make certificates with"),
    # pynetdicom and the server of the standard library drop sockets whose handshake failed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate with its key, signed by itself."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    made = subprocess.run(
        ["openssl", *words.split(), "-keyout", "-", "-out", "-"], capture_output=True, check=True
    )
    file.write_bytes(made.stdout)
    return file


def test_files_travel_encrypted_and_both_sides_show_who_they_are(certificate, file):
    arrived = []
    ours = Receive(port=0, callers=("*",), certificate=certificate, authority=certificate)
    with receiver(ours, lambda content, caller: arrived.append(content)) as port:
        known = {"address": f"DELINEATE@127.0.0.1:{port}", "tls": True, "tries": 1, "timeout_s": 3}
        NodeArchive(Access(**known, authority=certificate, certificate=certificate)).send([file])
        assert len(arrived) == 1
        for stranger in (
            Access(**known, authority=certificate),  # shows no certificate
            Access(**known, certificate=certificate),  # does not trust ours
            Access(**{**known, "tls": False}),
        ):
            with pytest.raises(ArchiveError):
                NodeArchive(stranger).send([file])
    assert len(arrived) == 1


def test_a_certificate_of_ours_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "a.pem").write_text("nonsense")
    with (
        pytest.raises(DataError, match=r"a.pem: is no certificate in PEM form"),
        receiver(Receive(port=0, callers=("*",), certificate=tmp_path / "a.pem"), lambda *_: None),
    ):
        pass


def test_a_web_archive_is_believed_by_its_certificate(certificate, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with served(FakeArchive(), context) as fake:
        fake.says("GET", (200, "application/dicom+json", b"[]"))
        WebArchive(Access(address=fake.url, authority=certificate)).check()
        with pytest.raises(ArchiveError, match="shows a certificate that we do not trust"):
            WebArchive(Access(address=fake.url, tries=1)).check()
        secret = tmp_path / "secret"
        secret.write_text("Basic ada:s3cret")
        secret.chmod(0o600)
        WebArchive(Access(address=fake.url, authority=certificate, credentials=secret)).check()
        assert fake.asked[-1][2]["Authorization"].startswith("Basic ")
