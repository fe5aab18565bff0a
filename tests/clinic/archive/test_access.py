"""Addresses are checked, credentials stay where they are."""

import base64

import pytest
from pydantic import ValidationError

from delineate.clinic.archive import Access, Receive
from delineate.clinic.archive.access import read_credentials
from delineate.errors import DataError


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "pacs.secret"
    path.write_text("Basic ada:s3cret:x\n")
    path.chmod(0o600)
    return path


def test_an_address_says_how_an_archive_is_spoken_to():
    assert Access(address="https://pacs.example/dicom-web/").kind == "web"
    node = Access(address="ORTHANC@127.0.0.1:4242")
    assert (node.kind, node.node) == ("node", ("ORTHANC", "127.0.0.1", 4242))
    assert Access(address="A@[::1]:104").node == ("A", "::1", 104)


@pytest.mark.parametrize(
    "address", ["pacs", "ORTHANC@host", "A@host:0", "A@host:70000", "ftp://x", "SEVENTEEN_LETTERS@host:1"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValidationError, match="is no address of an archive"):
        Access(address=address)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(ValidationError, match="credentials") as caught:
        Access(address="https://ada:s3cret@pacs/dicom-web")
    assert "s3cret" not in caught.value.errors()[0]["msg"]


def test_credentials_come_from_a_file(secret):
    access = Access(address="http://127.0.0.1:1/x", credentials=secret)
    assert access.authorization() == "Basic " + base64.b64encode(b"ada:s3cret:x").decode()
    secret.write_text("Bearer token\n")  # renewed
    assert access.authorization() == "Bearer token"
    assert "s3cret" not in repr(access) + access.to_json()
    assert Access(address="http://127.0.0.1:1/x").authorization() is None


def test_credentials_do_not_travel_in_the_open(secret):
    access = Access(address="http://pacs.example/x", credentials=secret)
    with pytest.raises(DataError, match="readable by all to another machine"):
        access.authorization()
    assert Access(address="http://localhost/x", credentials=secret).authorization()


def test_credentials_that_others_may_read_are_refused(secret):
    secret.chmod(0o644)
    with pytest.raises(DataError, match=r"others than you may read (.|\n)*chmod 600"):
        read_credentials(secret)


@pytest.mark.parametrize("text", ["ada:s3cret", "Basic s3cret", "Basic ", "Bearer a\nb"])
def test_what_is_no_credentials_is_refused_and_not_quoted(secret, text):
    secret.write_text(text)
    with pytest.raises(DataError, match="holds no credentials") as caught:
        read_credentials(secret)
    assert "s3cret" not in str(caught.value)
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="holds no credentials"):
        read_credentials(secret)


def test_missing_credentials_are_said(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_credentials(tmp_path / "none")


def test_certificates_that_cannot_be_used_are_named(tmp_path):
    assert Access(address="http://x/y").tls_context is None
    assert Access(address="https://x/y").tls_context is not None
    (tmp_path / "a.pem").write_text("nonsense")
    with pytest.raises(DataError, match=r"a.pem: is no certificate in PEM form"):
        Access(address="https://x/y", authority=tmp_path / "a.pem").tls_context  # noqa: B018


def test_files_lie_beside_the_configuration(tmp_path):
    access = Access(address="https://x/y", credentials="a", authority=tmp_path / "b").beside(tmp_path / "c")
    assert (access.credentials, access.authority) == (tmp_path / "c" / "a", tmp_path / "b")
    assert Receive(callers=("A",), certificate="d").beside(tmp_path).certificate == tmp_path / "d"


def test_this_machine_alone_is_listened_to_by_default_and_callers_must_be_named():
    assert Receive(callers=("CT",)).host == "127.0.0.1"
    with pytest.raises(ValidationError, match="at least 1 item"):
        Receive(callers=())
