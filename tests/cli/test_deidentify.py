"""`delineate deidentify` and `delineate audit`, called as a person would call them."""

import json
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from typer.testing import CliRunner

from delineate.cli import app

cli = CliRunner()


@pytest.fixture
def scans(tmp_path):
    """Three slices of somebody, and a screenshot with a name in it."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        _write(folder / f"{number}.dcm", CTImageStorage, "CT", np.full((16, 16), number, np.uint8), number)
    return folder


def _write(path, kind, modality, values, number):
    content = Dataset()
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.SOPClassUID = content.file_meta.MediaStorageSOPClassUID = kind
    content.SOPInstanceUID = content.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.5.{number}"
    content.StudyInstanceUID, content.SeriesInstanceUID = "1.2.3.4.5", "1.2.3.4.6"
    content.PatientName, content.PatientID, content.Modality = "Quillfeather^Ada", "QF-20077", modality
    content.StudyDate, content.PatientAge, content.StudyDescription = "20160317", "061Y", "CT of Quillfeather"
    content.InstitutionName = "St Eldritch Infirmary"
    content.Rows, content.Columns = values.shape
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.BitsAllocated, content.BitsStored, content.HighBit, content.PixelRepresentation = 8, 8, 7, 0
    content.PixelData = values.tobytes()
    pydicom.dcmwrite(path, content, enforce_file_format=True)


def _lettered():
    from PIL import Image, ImageDraw

    picture = Image.new("L", (120, 60), 10)
    ImageDraw.Draw(picture).text((5, 5), "QUILLFEATHER", fill=250)
    return np.asarray(picture)


def outputs(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def test_a_folder_loses_its_names_and_the_key_stays_beside_it(scans, tmp_path):
    done = cli.invoke(app, ["deidentify", str(scans), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    key = tmp_path / "out.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "3 of 3 files written" in done.output
    assert "A new key was made" in done.output
    assert key.read_text().strip() not in done.output
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"Quill" not in path.read_bytes()
            assert key.read_bytes().strip() not in path.read_bytes()
    assert "Quill" not in done.output


def test_options_are_those_of_the_standard(scans, tmp_path):
    retain = [word for name in ("dates", "patient", "institution") for word in ("--retain", name)]
    done = cli.invoke(app, ["-q", "deidentify", str(scans), str(tmp_path / "out"), *retain])
    assert done.exit_code == 0, done.output
    after = outputs(tmp_path / "out")[0]
    assert (after.StudyDate, after.PatientAge) == ("20160317", "061Y")
    assert after.InstitutionName == "St Eldritch Infirmary"
    assert after.LongitudinalTemporalInformationModified == "UNMODIFIED"
    done = cli.invoke(app, ["-q", "deidentify", str(scans), str(tmp_path / "basic"), "--basic"])
    after = outputs(tmp_path / "basic")[0]
    assert "StudyDescription" not in after
    assert after["StudyDate"].is_empty


def test_a_dry_run_writes_nothing_but_the_key(scans, tmp_path):
    done = cli.invoke(app, ["-q", "deidentify", str(scans), str(tmp_path / "out"), "--dry-run", "--json"])
    assert done.exit_code == 0
    report = json.loads(done.output)
    assert report["dry_run"]
    assert {"attribute": "PatientName", "action": "Z", "count": 3} in report["done"]
    assert not (tmp_path / "out").exists()


def test_text_in_pixels_is_held_back_blanked_or_passed(scans, tmp_path):
    _write(scans / "screen.dcm", SecondaryCaptureImageStorage, "OT", _lettered(), 9)
    held = cli.invoke(app, ["deidentify", str(scans), str(tmp_path / "held")])
    assert held.exit_code == 1
    assert "held back: 1 x text seems to stand in its pixels" in held.output
    assert "--mapping FILE" in held.output
    blanked = cli.invoke(app, ["-q", "deidentify", str(scans), str(tmp_path / "blanked"), "--blank-text"])
    assert blanked.exit_code == 0
    screen = next(ds for ds in outputs(tmp_path / "blanked") if ds.Modality == "OT")
    assert screen.pixel_array.max() <= 10
    passed = cli.invoke(app, ["-q", "deidentify", str(scans), str(tmp_path / "passed"), "--allow-text"])
    assert passed.exit_code == 0
    both = cli.invoke(app, ["deidentify", str(scans), str(tmp_path / "b"), "--allow-text", "--blank-text"])
    assert both.exit_code == 2


def test_a_key_in_the_output_is_refused(scans, tmp_path):
    done = cli.invoke(
        app, ["deidentify", str(scans), str(tmp_path / "out"), "--key", str(tmp_path / "out" / "k")]
    )
    assert done.exit_code == 1
    assert "the key cannot lie in the output" in str(done.exception)


def test_what_was_done_stands_in_the_audit_log_without_names(scans, tmp_path):
    log = tmp_path / "audit.jsonl"
    for name in ("one", "two"):
        done = cli.invoke(app, ["-q", "deidentify", str(scans), str(tmp_path / name), "--audit", str(log)])
        assert done.exit_code == 0
    text = log.read_text()
    assert "Quill" not in text
    assert "scans" not in text
    assert '"files written":3' in text
    verified = cli.invoke(app, ["audit", "verify", str(log)])
    assert verified.exit_code == 0
    head = verified.output.split("head: ")[1].strip()
    assert cli.invoke(app, ["audit", "verify", str(log), "--head", head]).exit_code == 0
    exported = cli.invoke(app, ["audit", "export", str(log), "--fhir"])
    assert json.loads(exported.output)["entry"][1]["resource"]["resourceType"] == "AuditEvent"
    assert cli.invoke(app, ["audit", "export", str(log)]).exit_code == 2
    log.write_text(text.replace('"files written":3', '"files written":2'))
    touched = cli.invoke(app, ["audit", "verify", str(log), "--json"])
    assert touched.exit_code == 1
    assert "line 1: was changed" in json.loads(touched.output)["problems"][0]


def test_neither_verb_loads_torch():
    code = (
        "import sys\nfrom delineate.clinic import deidentify\nimport delineate.clinic.audit\n"
        "import delineate.clinic.privacy.folder\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
