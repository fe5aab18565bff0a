import numpy as np
import pytest

from delineate.clinic.privacy.faces import Head, defaced, face_of, find_head
from delineate.errors import DataError
from delineate.io import read_volume
from delineate.space import Geometry, Volume
from delineate.space.phantoms import Anatomy, balls, head


def around(spacing: float = 4.0, lower: float = -110.0, upper: float = 106.0) -> Geometry:
    """A grid around a whole phantom head."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (-100, -120, lower)
    return Geometry((int(200 / spacing), int(240 / spacing), int((upper - lower) / spacing)), affine)


def phantom(seed: int, grid: Geometry):
    """A head, and where its skull's inside and its eyes are."""
    scan, labels = head(np.random.default_rng(seed), grid=grid)
    layers = Anatomy.drawn(np.random.default_rng(seed)).layers(grid)
    return scan, labels, (layers[4][0] < 0) | (layers[7][0] < 0), layers[2][0] < 0


@pytest.mark.parametrize("seed", range(5))
def test_no_voxel_of_the_brain_is_touched_and_a_part_of_the_eyes_goes(seed):
    scan, labels, brain, eyes = phantom(seed, around())
    face = face_of(scan)
    assert not (face & brain).any()
    assert not (face & (labels.array > 0)).any()
    assert (face & eyes).sum() > 0.1 * eyes.sum()
    assert face[:, -6:, :20].all()  # what is in front of the chin


def test_every_other_voxel_stays_as_it_was():
    scan, *_ = phantom(0, around())
    face = face_of(scan)
    after = defaced(scan)
    assert np.array_equal(after.array[:, ~face], scan.array[:, ~face])
    assert (after.array[:, face] == scan.array.min(axis=(1, 2, 3))[:, None]).all()


@pytest.mark.parametrize("orientation", ["LPS", "ASR", "PIR"])
def test_the_same_tissue_is_taken_whatever_the_order_of_voxels(orientation):
    scan, *_ = phantom(1, around())
    mask = Volume(face_of(scan)[None].astype(np.uint8), scan.geometry).reoriented(orientation)
    turned = face_of(scan.reoriented(orientation))
    assert np.mean(turned != (mask.array[0] > 0)) < 0.005


@pytest.mark.parametrize("nod", [-12, -6, 6, 12])
def test_a_nodding_head_keeps_its_brain(nod):
    scan, *_ = phantom(3, around())
    angle = np.deg2rad(nod)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = Geometry(scan.geometry.shape, turn @ scan.geometry.affine)
    brain = phantom(3, scan.geometry)[2]
    assert (face_of(Volume(scan.array, grid, scan.channels)) & brain).sum() <= 0.002 * brain.sum()


def test_a_head_that_the_picture_cuts_is_refused():
    with pytest.raises(DataError, match="the picture cuts the head at the top"):
        find_head(phantom(0, around(upper=60))[0])


def test_what_is_no_head_is_none():
    assert find_head(balls(np.random.default_rng(0), size=20)[0]) is None
    assert find_head(Volume(np.zeros((1, 20, 20, 20)), _cube())) is None
    scan = balls(np.random.default_rng(0), size=20)[0]
    assert defaced(scan) is scan


def _cube() -> Geometry:
    return Geometry((20, 20, 20), np.diag([5.0, 5.0, 5.0, 1.0]))


def test_the_plane_spares_the_brain_of_the_mni_space(shared_data):
    folder = shared_data / "ms_lesions" / "MNI" / "patient07"
    scan = read_volume(next(path for path in sorted(folder.iterdir()) if path.name.startswith("T1_")))
    brain = scan.array[0] > 0  # brain-extracted
    for vertex, forehead, back in ((88, 86, -108), (85, 84, -105), (92, 90, -112), (82, 88, -110)):
        assert not (Head(vertex, forehead, back).face(scan.geometry) & brain).any()


def test_a_real_head_loses_what_is_below_its_forehead(shared_data):
    scan = read_volume(shared_data / "dicom_mr_hippocrop" / "Study3" / "11-T1post-18670")
    found = find_head(scan)
    assert 170 < found.length < 200
    face = face_of(scan)
    assert 0.01 < face.mean() < 0.1
