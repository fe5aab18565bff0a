"""The page as files: a PDF, a PNG, and the PDF in DICOM."""

import pydicom
import pytest
from clinic_stacks import Stack, blobs, dicom_errors, result_of, tool, write_images
from PIL import Image

from delineate.clinic import deliver, draw_summary, measure, write_encapsulated, write_page
from delineate.errors import DataError


@pytest.fixture
def result(tmp_path):
    stack = Stack(columns=14, rows=10, count=6)
    return result_of(write_images(tmp_path / "series", stack), stack, blobs(stack.geometry, 2))


@pytest.fixture
def page(result):
    return draw_summary(result, measure(result))


def writers(page):
    return {
        "summary.pdf": lambda result, path, _: write_page(result, path, page, "pdf"),
        "summary.png": lambda result, path, _: write_page(result, path, page, "png"),
        "summary.dcm": lambda result, path, before: write_encapsulated(result, path, before["PDF"]),
    }


def test_a_page_is_written_as_pdf_as_picture_and_into_the_study(result, page, tmp_path):
    out = tmp_path / "out"
    delivery = deliver(result, out, writers(page))
    assert [made.kind for made in delivery.objects] == ["PDF", "PNG", "DOC"]
    with Image.open(out / "summary.png") as picture:
        assert picture.size == (1240, 1753)
    assert "Müller".encode() not in (out / "summary.pdf").read_bytes()
    content = pydicom.dcmread(out / "summary.dcm")
    assert content.StudyInstanceUID == "1.2.3.1"
    assert content.EncapsulatedDocument.startswith(b"%PDF-")


def test_dciodvfy_finds_no_error(result, page, tmp_path):
    tool("dciodvfy")
    deliver(result, tmp_path / "out", writers(page))
    assert dicom_errors(tmp_path / "out" / "summary.dcm") == []


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def blank(path):
    Image.new("RGB", (9, 9)).save(path, format="png")


def other_page(path):
    content = pydicom.dcmread(path)
    content.EncapsulatedDocument = content.EncapsulatedDocument[:-2] + b"xx"
    content.save_as(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("summary.pdf", cut, "is no PDF of one page"),
        ("summary.png", blank, "is a picture of nothing"),
        ("summary.dcm", other_page, "does not hold the page that was put in"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(result, page, tmp_path, name, change, message):
    made = writers(page)
    write = made[name]

    def spoiled(result, path, before):
        written = write(result, path, before)
        change(path)
        return written

    made[name] = spoiled
    with pytest.raises(DataError, match=message):
        deliver(result, tmp_path / "out", made)
    assert not (tmp_path / "out").exists()


def test_what_nothing_reads_back_does_not_leave(result, tmp_path):
    from delineate.clinic import Written

    def odd(result, path, before):
        path.write_text("x")
        return Written("ODD", path)

    with pytest.raises(DataError, match="nothing reads objects of the kind ODD back"):
        deliver(result, tmp_path / "out", {"x.txt": odd})
