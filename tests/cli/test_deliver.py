"""`delineate deliver`: from a label file to DICOM on the original slices."""

import json
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError
from delineate.io import write_labels
from delineate.space import Label, LabelMap, LabelSchema


@pytest.fixture
def hospital(tmp_path, dicom_slices):
    """A series, and labels for it with their table."""
    _, grid = dicom_slices(tmp_path / "series")
    values = np.zeros(grid.shape, np.uint8)
    values[2:7, 2:6, 1:4], values[3:5, 3:5, 2:3] = 1, 0
    values[7:, :2] = 2
    write_labels(LabelMap(values, grid, LabelSchema.of("liver", "kidney_left")), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.json").write_text(json.dumps({"background": 0, "liver": 1, "kidney_left": 2}))
    return tmp_path


@pytest.fixture
def dicom_slices():
    """What writes a small series: the folder, and its grid."""
    from importlib import util
    from pathlib import Path

    spec = util.spec_from_file_location("cli_stacks", Path(__file__).parents[1] / "clinic" / "stacks.py")
    made = util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    stack = made.Stack(columns=10, rows=9, count=5)
    return lambda folder: (made.write_images(folder, stack), stack.geometry)


def invoked(folder, *options):
    words = [
        "deliver",
        str(folder / "labels.nii.gz"),
        "--series",
        str(folder / "series"),
        "-o",
        str(folder / "out"),
    ]
    return CliRunner().invoke(app, [*words, *options])


def test_labels_become_objects_and_the_record_of_them(hospital):
    done = invoked(hospital, "--seg", "--rtstruct", "--approved-by", "Doe^Jane", "--made-by", "liver model")
    assert done.exit_code == 0, done.output
    out = hospital / "out"
    assert sorted(path.name for path in out.iterdir()) == ["delivery.json", "rtstruct.dcm", "seg.dcm"]
    assert pydicom.dcmread(out / "rtstruct.dcm").ApprovalStatus == "APPROVED"
    assert pydicom.dcmread(out / "seg.dcm").SegmentSequence[1].SegmentLabel == "kidney_left"
    assert "SCT:10200004 (Liver)" in done.output
    assert str(out / "seg.dcm") in done.output.replace("\n", "")


EVERYTHING = (
    "--seg", "--rtstruct", "--sr", "--fhir", "r4", "--fhir", "r5", "--stl", "--glb",
    "--summary", "--summary-dicom",
)  # fmt: skip


def test_everything_of_one_result_shares_its_tracking_uids(hospital):
    done = invoked(hospital, *EVERYTHING, "--made-by", "liver model")
    assert done.exit_code == 0, done.output
    out = hospital / "out"
    record = json.loads((out / "delivery.json").read_text())
    uids = {structure["tracking_uid"] for structure in record["structures"]}
    assert len(uids) == 2
    names = ["fhir_r4.json", "fhir_r5.json", "rtstruct.dcm", "seg.dcm", "sr.dcm", "surfaces.glb"]
    for name in names:
        content = (out / name).read_bytes()
        assert all(uid.encode() in content for uid in uids), name
    pages = ["summary.dcm", "summary.pdf", "summary.png"]
    assert sorted(path.name for path in out.iterdir()) == sorted(["delivery.json", "stl", *names, *pages])
    assert [made["file"] for made in record["objects"]][-2:] == ["fhir_r4.json", "fhir_r5.json"]
    assert sorted(path.name for path in (out / "stl").iterdir()) == ["001_liver.stl", "002_kidney_left.stl"]
    assert "Jürgen" not in (out / "fhir_r5.json").read_text() + (out / "delivery.json").read_text()


def test_nothing_is_left_where_one_of_many_objects_does_not_read_back(hospital, monkeypatch):
    from delineate.clinic import readback_meshes

    monkeypatch.setattr(readback_meshes, "VOLUME_SHARE", -1.0)  # nothing is right enough
    done = invoked(hospital, *EVERYTHING)
    assert isinstance(done.exception, DataError)
    assert "nothing was delivered" in str(done.exception)
    assert sorted(path.name for path in hospital.iterdir()) == ["labels.json", "labels.nii.gz", "series"]


def test_surfaces_are_smoothed_as_asked(hospital):
    invoked(hospital, "--stl", "--mesh-smoothing", "0")
    sharp = (hospital / "out" / "stl" / "001_liver.stl").read_bytes()
    (hospital / "out").rename(hospital / "sharp")
    invoked(hospital, "--stl")
    smooth = (hospital / "out" / "stl" / "001_liver.stl").read_bytes()
    assert len(sharp) == len(smooth)
    assert sharp != smooth


@pytest.mark.parametrize(("kind", "said"), [("labelmap", "LABELMAP"), ("fractional", "FRACTIONAL")])
def test_the_kind_of_segmentation_is_chosen(hospital, kind, said):
    assert invoked(hospital, "--seg", "--seg-kind", kind).exit_code == 0
    assert pydicom.dcmread(hospital / "out" / "seg.dcm").SegmentationType == said


def test_the_labels_of_a_model_carry_their_own_codes(hospital):
    labels = (
        Label(value=1, name="Leber", code="SCT:10200004"),
        Label(value=2, name="thing", code="99ME:1:A thing"),
    )
    (hospital / "schema.json").write_text(LabelSchema(labels=labels).to_json())
    assert invoked(hospital, "--rtstruct", "--labels", str(hospital / "schema.json")).exit_code == 0
    content = pydicom.dcmread(hospital / "out" / "rtstruct.dcm")
    codes = [item.RTROIIdentificationCodeSequence[0].CodeValue for item in content.RTROIObservationsSequence]
    assert codes == ["10200004", "1"]


def test_wrong_use_is_refused_with_a_way_out(hospital):
    def message(*options):
        error = invoked(hospital, *options).exception
        assert isinstance(error, DataError), error
        return str(error)

    assert "Say what to write: --seg, --rtstruct, --sr, --fhir, --stl, --glb, --summary" in message()
    assert "the report points at segments" in message("--sr")
    assert "holds the page of the summary" in message("--summary-dicom")
    assert "is about the page of the summary" in message("--seg", "--name-patient")
    (hospital / "labels.json").write_text('{"background": 0, "liver": 1}')
    assert "holds the values [2], which the label table does not list" in message("--seg")
    (hospital / "labels.json").write_text('{"background": 0, "Lvier": 1, "spleen": 2}')
    assert "near: liver" in message("--seg")
    (hospital / "labels.json").unlink()
    assert "nothing says what its values mean" in message("--seg")
    assert not (hospital / "out").exists()


def test_without_pydicom_the_package_works_and_says_what_delivery_needs(hospital):
    """Reading NIfTI, datasets and plans go on; what needs DICOM names the line that installs it."""
    code = (
        "import sys; sys.modules['pydicom'] = None\n"
        "import delineate, delineate.io, delineate.dataset, delineate.planning, delineate.preparation\n"
        "from delineate.errors import MissingPackage\n"
        f"assert delineate.io.read_volume({str(hospital / 'labels.nii.gz')!r}).array.any()\n"
        "import delineate.clinic\n"
        "try:\n    delineate.clinic.write_seg\n"
        "except MissingPackage as error:\n    print(error)\n"
        "from typer.testing import CliRunner\nfrom delineate.cli import app\n"
        f"done = CliRunner().invoke(app, ['deliver', {str(hospital / 'labels.nii.gz')!r}, '--series', "
        f"{str(hospital / 'series')!r}, '-o', 'x', '--seg'])\n"
        "print(done.exception)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pip install 'delineate[dicom]'") == 2, done.stdout


def test_delivering_imports_no_torch(hospital):
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom delineate.cli import app\n"
        f"done = CliRunner().invoke(app, ['deliver', {str(hospital / 'labels.nii.gz')!r}, '--series', "
        f"{str(hospital / 'series')!r}, '-o', {str(hospital / 'out')!r}, *{EVERYTHING!r}])\n"
        "assert done.exit_code == 0, done.output\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
