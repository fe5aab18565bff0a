"""Series that lean or are uneven: drawn on their slices, learnt from on an even grid, and back."""

import json

import numpy as np
import pydicom
import pytest
from clinic_stacks import MAKER, WHEN, Stack, result_of, write_images
from scipy import ndimage
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic import (
    CollectionWishes,
    Picking,
    collect,
    make_result,
    open_series,
    read_seg,
    write_rtstruct,
    write_seg,
)
from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.io import Manner, read_volume
from delineate.space import LabelMap, LabelSchema

BALL = LabelSchema.of("liver")
OPEN = Manner(straighten=True)


def lean(degrees: float) -> tuple[float, float]:
    return 0.0, float(np.tan(np.radians(degrees)))


def tall(**changes) -> Stack:
    return Stack(**{"columns": 24, "rows": 28, "count": 9, "gap": 2.0} | changes)


def inside_ball(places: np.ndarray, centre: np.ndarray, radius: float = 7.3) -> np.ndarray:
    return np.linalg.norm(places - centre, axis=-1) < radius


def slice_places(series) -> np.ndarray:
    """(i, j, k, 3) LPS+ mm of every pixel of every slice."""
    i, j, k = np.indices(series.grid_shape)
    flat = series.to_patient(i.ravel().astype(float), j.ravel().astype(float), k.ravel())
    return flat.reshape(*series.grid_shape, 3)


@pytest.mark.parametrize("degrees", [0.0, 5.0, 12.5, 25.0])
@pytest.mark.parametrize("missing", [(), (3,)])
def test_labels_of_the_even_grid_come_back_onto_the_original_slices(tmp_path, degrees, missing):
    stack = tall(lean=lean(degrees), missing=missing, origin=(-40.0, 30.0, 7.0))
    folder = write_images(tmp_path / "series", stack)
    series, even = open_series(folder), read_volume(folder, manner=OPEN).geometry
    centre = slice_places(series)[12, 14].mean(axis=0)
    ijk = np.moveaxis(np.indices(even.shape), 0, -1).astype(float)
    drawn = inside_ball(even.to_world(ijk) * (-1, -1, 1), centre).astype(np.uint8)
    result = make_result(LabelMap(drawn, even, BALL), series, MAKER, when=WHEN)
    truth = inside_ball(slice_places(series), centre)
    ours = result.array > 0
    assert ours.shape == (24, 28, 9 - len(missing))
    assert 2 * (ours & truth).sum() / (ours.sum() + truth.sum()) > 0.95  # pixels are a seventh of it
    off = slice_places(series)[ours].mean(axis=0) - slice_places(series)[truth].mean(axis=0)
    assert np.abs(off).max() < 0.5  # mm: a label goes to the nearest pixel, and pixels are of 1 mm
    made = write_seg(result, tmp_path / "seg.dcm")
    assert made.numbers == {"liver": 1}
    positions = {
        tuple(float(x) for x in group.PlanePositionSequence[0].ImagePositionPatient)
        for group in pydicom.dcmread(tmp_path / "seg.dcm").PerFrameFunctionalGroupsSequence
    }
    own = {tuple(float(x) for x in pydicom.dcmread(p).ImagePositionPatient) for p in folder.iterdir()}
    assert positions <= own  # frames lie on the slices that were scanned, and on no other
    assert np.array_equal(read_seg(tmp_path / "seg.dcm", series).mask("liver"), ours)


def drawn_on(folder, stack: Stack):
    """A series with a ball contoured on its slices, somewhere in a download."""
    images = write_images(folder / "a", stack)
    series = open_series(images)
    ball = inside_ball(slice_places(series), slice_places(series)[12, 14].mean(axis=0))
    whole = np.zeros(stack.geometry.shape, np.uint8)
    whole[:, :, stack.slices] = ball
    write_rtstruct(result_of(images, stack, whole, ("liver",)), folder / "rt.dcm")
    return ball


@pytest.mark.parametrize(
    "stack", [tall(lean=lean(18.5)), tall(missing=(4,)), tall(lean=lean(8), missing=(2,))]
)
def test_a_crooked_series_is_learnt_from_only_when_asked(tmp_path, stack):
    ball = drawn_on(tmp_path / "down", stack)
    with pytest.raises(DataError, match=r"(?s)no case could be made.*--straighten"):
        collect(tmp_path / "down", tmp_path / "refused")
    report = collect(tmp_path / "down", tmp_path / "out", CollectionWishes(reading=OPEN))
    (case,) = report.cases
    assert any(note.startswith("straightened, as asked") for note in case.notes)
    assert case.unit == "HU"
    found = Dataset.open(tmp_path / "out")
    labels, scan = found.labels(found.cases[0]), found.scan(found.cases[0])
    assert labels.geometry.same_place(scan.geometry)
    axes = scan.geometry.affine[:3, :3] / scan.geometry.spacing
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)  # upright
    volume = float((labels.array == 1).sum()) * scan.geometry.voxel_ml
    covered = ball.sum() * scan.geometry.voxel_ml  # the planes of the even grid that lie on slices
    assert volume == pytest.approx(covered, rel=0.25 if stack.missing else 0.05)
    has_gap = bool(stack.missing)
    assert ndimage.label(labels.array != 0)[1] == 1
    assert (found.schema.ignore is not None) == has_gap
    assert json.loads((tmp_path / "out" / "labels.json").read_text()).get("ignore") == (
        2 if has_gap else None
    )


def test_planes_across_a_gap_are_marked_as_not_annotated(tmp_path):
    stack = tall(missing=(4, 5))
    drawn_on(tmp_path / "down", stack)
    (case,) = collect(tmp_path / "down", tmp_path / "out", CollectionWishes(reading=OPEN)).cases
    found = Dataset.open(tmp_path / "out")
    array = found.labels(found.cases[0]).array
    assert (array == found.schema.ignore).all(axis=(0, 1)).tolist() == [k in (4, 5) for k in range(9)]
    assert f"{2 * 24 * 28} voxels between slices that lie far apart are marked as not annotated" in case.notes


def test_series_are_picked_for_a_training_set_and_the_rest_say_why_not(tmp_path):
    for n, modality in enumerate(("CT", "MR"), 1):
        tags = {"SeriesInstanceUID": f"1.8.{n}", "FrameOfReferenceUID": f"1.8.{n}.1", "Modality": modality}
        images = write_images(tmp_path / "down" / str(n), Stack(), **tags)
        write_seg(result_of(images, Stack(), np.ones((9, 7, 5), np.uint8)), tmp_path / "down" / f"{n}.dcm")
    wishes = CollectionWishes(picking=Picking.of(["modality=MR"]))
    report = collect(tmp_path / "down", tmp_path / "out", wishes)
    assert [case.modality for case in report.cases] == ["MR"]
    assert [(item.file, item.why) for item in report.left_out] == [
        ("1.dcm", "its series was passed over: modality is not MR.")
    ]


def test_the_verb_straightens_picks_and_takes_pet_as_stored(tmp_path):
    stack = tall(lean=lean(10))
    drawn_on(tmp_path / "down", stack)
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT", "Units": "BQML"}
    uids = {"SeriesInstanceUID": "1.8.7", "FrameOfReferenceUID": "1.8.8"}
    pet = write_images(tmp_path / "down" / "pet", Stack(), **tags, **uids)
    write_seg(
        result_of(pet, Stack(), np.ones((9, 7, 5), np.uint8), ("liver",)), tmp_path / "down" / "pet.dcm"
    )
    given = ["-q", "import-dicom", str(tmp_path / "down")]
    done = CliRunner().invoke(app, [*given, str(tmp_path / "a"), "--straighten"])
    assert done.exit_code == 0, done.output
    assert "PET values cannot become SUV by body weight: PatientWeight" in done.stdout
    done = CliRunner().invoke(
        app, [*given, str(tmp_path / "b"), "--pet", "stored", "--pick", "modality=PT", "--json"]
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [(case["modality"], case["unit"]) for case in report["cases"]] == [("PT", "Bq/ml")]
    assert "passed over: modality is not PT" in report["left_out"][0]["why"]


@pytest.mark.slow
def test_the_head_with_a_variable_gantry_goes_there_and_back(shared_data):
    """Labels on 134 even planes come back onto the 28 slices 1.08 to 7 mm apart, where these are."""
    folder = shared_data / "dicom_ct_tilt"
    series, volume = open_series(folder), read_volume(folder, manner=OPEN)
    head = (volume.array[0] > -300).astype(np.uint8)
    schema = LabelSchema.of("brain")
    result = make_result(LabelMap(head, volume.geometry, schema), series, MAKER, when=WHEN)
    assert result.array.shape == (512, 512, 28)
    assert np.diff(series.along).min() == pytest.approx(1.08, abs=0.01)
    assert np.diff(series.along).max() == pytest.approx(7.0, abs=0.01)
    by_uid = {item.SOPInstanceUID: item for item in map(pydicom.dcmread, folder.glob("*.dcm"))}
    for k in (0, 13, 14, 27):
        (reference,) = series.references[k]
        item = by_uid[reference.uid]
        own_head = item.pixel_array.T * item.RescaleSlope + item.RescaleIntercept > -300
        ours = result.array[:, :, k] > 0
        assert 2 * (ours & own_head).sum() / (ours.sum() + own_head.sum()) > 0.97, k
