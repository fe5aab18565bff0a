"""Slices that are no even upright stack are refused, or straightened openly: never silently."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import Manner, read_volume

OPEN = Manner(straighten=True)
SIZE = (20, 26)


def ball_series(dicom, folder, along, lean):
    """A bright ball of radius 7 mm about (10, 13 + its shift, 8) mm on slices that lean; LPS."""
    i, j = np.meshgrid(*(np.arange(n) for n in SIZE), indexing="ij")
    for n, z in enumerate(along):
        x, y = i.astype(float), j + lean * z
        plane = 1000 - 100 * np.sqrt((x - 10) ** 2 + (y - 13 - lean * 8) ** 2 + (z - 8) ** 2)
        plane = np.clip(plane, -1000, 1000).astype(np.int16)
        dicom.save(dicom.slice_at(plane.T.copy(), (0, lean * z, z)), folder / f"{n:02d}.dcm")
    return folder


@pytest.mark.parametrize("degrees", [0.0, 2.0, 12.0, 25.0])
@pytest.mark.parametrize("along", [np.arange(0, 17, 2.0), np.array([0, 2, 4, 6, 7, 10, 13, 16.0])])
def test_what_is_refused_can_be_straightened_and_nothing_moves(tmp_path, dicom, degrees, along):
    lean = float(np.tan(np.radians(degrees)))
    folder = ball_series(dicom, tmp_path, along, lean)
    crooked = degrees > 0 or len(set(np.diff(along))) > 1
    if crooked:
        with pytest.raises(DataError, match=r"(?s)tilted|unevenly spaced.*--straighten"):
            read_volume(folder)
    volume = read_volume(folder, manner=OPEN)
    assert any(note.startswith("straightened, as asked") for note in volume.source.notes) == crooked
    assert not crooked or volume.source.instance_uids == ()  # planes are no slices: nothing may refer to them
    axes = volume.geometry.affine[:3, :3] / volume.geometry.spacing
    assert np.allclose(np.abs(axes), np.eye(3))
    inside = volume.array[0] > 300  # the ball of 7 mm
    middle = volume.geometry.to_world(np.argwhere(inside).mean(axis=0))
    assert middle * (-1, -1, 1) == pytest.approx((10, 13 + lean * 8, 8), abs=0.35)
    assert inside.sum() * volume.geometry.voxel_ml * 1000 == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.07)


def test_a_missing_slice_is_interpolated_across_only_when_asked(tmp_path, dicom):
    folder = ball_series(dicom, tmp_path, np.array([0, 2, 4, 8, 10, 12, 14, 16.0]), 0.0)
    with pytest.raises(DataError, match=r"(?s)1 of 9 slices are missing.*--straighten"):
        read_volume(folder)
    volume = read_volume(folder, manner=OPEN)
    assert volume.geometry.shape == (*SIZE, 9)
    note = volume.source.notes[-1] if volume.source.unit != "HU" else volume.source.notes[0]
    assert "1 of 9 slices are missing" in note
    assert "8 slices became 9 planes 2 mm apart, interpolated between the slices" in note


def test_an_even_stack_and_a_picture_are_read_as_ever(tmp_path, dicom):
    folder = ball_series(dicom, tmp_path / "s", np.arange(0, 10, 2.0), 0.0)
    plain, asked = read_volume(folder), read_volume(folder, manner=OPEN)
    assert np.array_equal(plain.array, asked.array)
    assert plain.source == asked.source
    picture = dicom.save(dicom.plain(np.zeros((4, 5), np.uint8), SOPClassUID="1.2.3"), tmp_path / "p.dcm")
    assert read_volume(picture, manner=OPEN).geometry.is_flat


def test_repeated_slices_are_refused_all_the_same(tmp_path, dicom):
    folder = ball_series(dicom, tmp_path, np.array([0, 2, 2, 4.0]), 0.0)
    with pytest.raises(DataError, match="nothing tells the repeated ones apart"):
        read_volume(folder, manner=OPEN)


def test_the_head_with_a_variable_gantry_keeps_its_distances(shared_data):
    """28 slices 4.00, 1.08 and 7.00 mm apart, leaning by 18.5 degrees."""
    folder = shared_data / "dicom_ct_tilt"
    with pytest.raises(DataError, match=r"(?s)tilted: slices shift by 18\.5 degrees.*--straighten"):
        read_volume(folder)
    volume = read_volume(folder, manner=OPEN)
    assert volume.geometry.shape == (512, 611, 134)  # 611 rows: the slices drift by 48 mm
    assert volume.geometry.spacing == pytest.approx((0.488, 0.488, 1.083), abs=1e-3)
    assert volume.source.unit == "HU"
    (note,) = volume.source.notes
    assert "shift by 18.5 degrees" in note
    assert "1.081 to 6.999 mm apart, usually 4.002 mm" in note
    extent = volume.geometry.spacing[2] * 133
    assert extent == pytest.approx(13 * 4 + 1.08 + 13 * 7, abs=0.1)
