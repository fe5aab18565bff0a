"""What is in a download: every series is listed with what can be done with it, and why not."""

import json

import numpy as np
import pydicom
import pytest
from clinic_stacks import Stack, blobs, image, result_of, rewritten, write_images
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic import look, write_seg
from delineate.errors import DataError

SC = "1.2.840.10008.5.1.4.1.1.7"


def series(folder, uid: str, stack: Stack | None = None, **tags):
    tags = {"SeriesInstanceUID": f"1.5.{uid}", "SeriesDescription": f"series {uid}"} | tags
    return write_images(folder / f"s{uid}", stack or Stack(), **tags)


def kinds(entry) -> list[str]:
    return [remark.kind for remark in entry.remarks]


def only(folder):
    (entry,) = look(folder).series
    return entry


def test_series_are_listed_by_patient_and_study_with_what_can_be_done(tmp_path):
    stack = Stack(columns=10, rows=9, count=6)
    drawn_on = series(tmp_path, "1", stack, PatientID="A")
    series(tmp_path, "2", PatientID="B", StudyInstanceUID="1.2.9", ContrastBolusAgent="iodine")
    write_seg(result_of(drawn_on, stack, blobs(stack.geometry, 1)), tmp_path / "seg.dcm")
    (tmp_path / "notes.txt").write_text("no DICOM")
    found = look(tmp_path)
    assert {who: list(uids) for who, uids in found.patients.items()} == {
        "A": ["1.2.3.1"],
        "B": ["1.2.9"],
    }
    first, second = found.series
    assert (first.segment.use, first.train.use, first.remarks) == ("yes", "yes", ())
    assert (second.segment.use, second.train.use) == ("yes", "no")
    assert second.train.why == "no SEG or RTSTRUCT in this folder refers to it"
    assert (first.has_contrast, second.has_contrast) == (False, True)
    assert found.others == {"a segmentation (SEG)": 1}
    report = found.report.series[0]
    assert (report.shape, report.spacing, report.orientation) == ((10, 9, 6), (1, 1, 2), "axial")
    assert report.annotations == ("seg.dcm",)


def test_the_report_names_nobody_and_the_screen_does(tmp_path):
    series(tmp_path, "1", PatientID="Secret-7", PatientName="Doe^Jane", SeriesDescription="Dr Private")
    text = look(tmp_path).report.to_json()
    assert "Secret" not in text
    assert "Jane" not in text
    assert "Private" not in text
    assert '"patient_001"' in text
    shown = CliRunner().invoke(app, ["-q", "studies", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "Secret-7 Doe^Jane" in shown.stdout
    as_json = CliRunner().invoke(app, ["-q", "studies", str(tmp_path), "--json"])
    assert json.loads(as_json.stdout)["series"][0]["segment"]["use"] == "yes"
    assert "Secret" not in as_json.stdout


@pytest.mark.parametrize(
    ("stack", "kind"),
    [
        (Stack(count=7, lean=(0.0, 0.3)), "tilt"),
        (Stack(count=7, missing=(3,)), "gap"),
    ],
)
def test_what_lies_crooked_can_be_straightened(tmp_path, stack, kind):
    entry = only(series(tmp_path, "1", stack))
    assert kinds(entry) == [kind]
    assert "--straighten" in entry.remarks[0].remedy
    assert entry.segment.use == "straightened"


def test_uneven_and_shifted_slices_can_be_straightened(tmp_path):
    folder = series(tmp_path, "1", Stack(count=6))
    path = sorted(folder.iterdir())[0]
    rewritten(path, lambda item: setattr(item, "ImagePositionPatient", [0, 0, 11.3]))
    assert kinds(only(folder)) == ["uneven"]
    rewritten(path, lambda item: setattr(item, "ImagePositionPatient", [0, 0.9, 10]))
    assert kinds(only(folder)) == ["tilt"]
    rewritten(path, lambda item: setattr(item, "ImagePositionPatient", [0, 0, 10]))
    middle = sorted(folder.iterdir())[2]
    rewritten(middle, lambda item: setattr(item, "ImagePositionPatient", [0, 0.9, 6]))
    assert kinds(only(folder)) == ["shift"]


def test_repeated_places_and_several_volumes_are_told_apart(tmp_path):
    doubled = series(tmp_path / "a", "1", Stack(repeated=(1,)))
    entry = only(doubled)
    assert kinds(entry) == ["duplicates"]
    assert entry.segment.use == "no"
    assert "nothing tells the repeated ones apart" in entry.segment.why
    for echo in (1, 2):
        series(tmp_path / "b", "1", EchoNumbers=echo).rename(tmp_path / "b" / f"echo{echo}")
    entry = only(tmp_path / "b")
    assert (kinds(entry), len(entry.volumes)) == (["several-volumes"], 2)
    assert entry.segment.use == "no"


def test_mixed_and_missing_identities_are_found(tmp_path):
    folder = series(tmp_path, "1")
    path = next(folder.iterdir())
    rewritten(path, lambda item: setattr(item, "FrameOfReferenceUID", "9.9"))
    assert kinds(only(folder)) == ["mixed-frames-of-reference"]
    rewritten(path, lambda item: setattr(item, "PatientID", "P-2"))
    assert "mixed-patients" in kinds(only(folder))
    empty = series(tmp_path / "e", "2", FrameOfReferenceUID="", StudyInstanceUID="")
    entry = only(empty)
    assert kinds(entry) == ["missing-uids"]
    assert entry.segment.use == "yes"
    assert "StudyInstanceUID, FrameOfReferenceUID missing: no SEG" in entry.remarks[0].message
    copied = series(tmp_path / "c", "3")
    one, other = sorted(copied.iterdir())[:2]
    uid = pydicom.dcmread(one).SOPInstanceUID
    rewritten(other, lambda item: setattr(item, "SOPInstanceUID", uid))
    assert kinds(only(copied)) == ["repeated-images"]


def test_scouts_are_left_out_and_alone_they_are_no_scan(tmp_path):
    folder = series(tmp_path, "1")
    for k in (20, 30):
        image(Stack(), k, SeriesInstanceUID="1.5.1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]).save_as(
            folder / f"scout{k}.dcm", enforce_file_format=True
        )
    entry = only(folder)
    assert (kinds(entry), entry.segment.use, len(entry.images.frames)) == (["localizer"], "yes", 5)
    assert "2 more of its images are scouts" in entry.remarks[0].message
    alone = series(tmp_path / "x", "2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    entry = only(alone)
    assert (kinds(entry), entry.segment.use) == (["localizer"], "no")
    mosaic = series(tmp_path / "m", "3", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    assert "mosaic" in kinds(only(mosaic))


def test_encodings_that_nothing_reads_are_named(tmp_path):
    folder = series(tmp_path, "1", Stack(count=2))
    for path in folder.iterdir():
        item = pydicom.dcmread(path)
        item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"  # a film in MPEG-4
        item["PixelData"].is_undefined_length = True
        item.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
        item.save_as(path)
    entry = only(folder)
    assert kinds(entry) == ["transfer-syntax"]
    assert "encoded as MPEG-4" in entry.remarks[0].message
    assert "Export it uncompressed" in entry.segment.why


def test_pictures_say_how_large_their_pixels_are(tmp_path):
    def picture(name, **tags):
        item = image(Stack(), 0, SOPClassUID=SC, Modality="XC", SeriesInstanceUID=f"1.7.{name}", **tags)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            delattr(item, keyword)
        (tmp_path / name).mkdir(exist_ok=True)
        item.save_as(tmp_path / name / f"{generate_uid()}.dcm", enforce_file_format=True)
        return tmp_path / name

    assert "pixels of unknown size" in only(picture("1")).remarks[0].message
    radiograph = only(picture("2", ImagerPixelSpacing=[0.2, 0.2]))
    assert "at the detector" in radiograph.remarks[0].message
    assert (radiograph.orientation, radiograph.segment.use) == ("picture", "yes")
    for _ in range(2):
        views = picture("3")
    assert kinds(only(views)) == ["pictures"]
    film = only(picture("5", NumberOfFrames=3, PixelData=bytes(3 * 2 * 7 * 9), PixelSpacing=None))
    assert (kinds(film), film.segment.use, film.train.use) == (["film"], "film", "no")
    assert film.remarks[0].message == "a film of 3 pictures"
    assert "--film" in film.remarks[0].remedy
    unplaced = series(tmp_path / "u", "4")
    rewritten(next(unplaced.iterdir()), lambda item: delattr(item, "ImagePositionPatient"))
    assert "no-place" in kinds(only(unplaced))


def test_pet_without_what_suv_needs_text_in_pixels_and_loss_are_remarks(tmp_path):
    pet = series(tmp_path / "p", "1", SOPClassUID="1.2.840.10008.5.1.4.1.1.128", Modality="PT", Units="BQML")
    (remark,) = only(pet).remarks
    assert remark.kind == "no-suv"
    assert "PatientWeight, RadionuclideTotalDose, DecayCorrection" in remark.message
    assert "--pet stored" in remark.remedy
    other = series(tmp_path / "o", "2", Stack(count=1), BurnedInAnnotation="YES", LossyImageCompression="01")
    assert kinds(only(other)) == ["text-in-pixels", "one-slice", "lossy"]


def test_unreadable_files_are_listed_and_stop_nothing(tmp_path):
    folder = series(tmp_path, "1")
    (folder / "cut.dcm").write_bytes(next(folder.glob("9*.dcm")).read_bytes()[:600])
    found = look(tmp_path)
    assert list(found.unreadable) == ["s1/cut.dcm"]
    assert len(found.series) == 1
    shown = CliRunner().invoke(app, ["-q", "studies", str(tmp_path)])
    assert "unreadable: s1/cut.dcm" in shown.stdout


def test_a_folder_that_is_none_is_refused_and_an_empty_one_says_so(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        look(tmp_path / "absent")
    assert "no DICOM images here" in CliRunner().invoke(app, ["-q", "studies", str(tmp_path)]).stdout


def test_real_downloads(shared_data):
    sarcoma = look(shared_data / "sts_sarcoma_dicom")
    assert [(s.modality, s.segment.use, s.train.use) for s in sarcoma.series] == [
        ("CT", "yes", "yes"), ("MR", "yes", "yes"), ("PT", "yes", "yes"),
    ]  # fmt: skip
    tilted = only(shared_data / "dicom_ct_tilt")
    assert (kinds(tilted), tilted.segment.use) == (["tilt", "uneven"], "straightened")
    breast = only(shared_data / "dicom_mr_seg_breast")
    assert (kinds(breast), breast.segment.use, breast.train.use) == (["several-volumes"], "no", "yes")
    empty = only(shared_data / "totalseg")
    assert "SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID" in empty.remarks[0].message
    everything = look(shared_data / "dicom_pydicom")
    assert len(everything.series) == 16
    assert np.all([entry.segment.use == "yes" or entry.segment.why for entry in everything.series])
