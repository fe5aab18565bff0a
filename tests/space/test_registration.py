"""Known transforms are found, nothing is found where nothing is wrong, and guesses are refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from delineate.errors import DataError, GeometryError
from delineate.io import read_volume
from delineate.space import (
    Alignment,
    Box,
    Geometry,
    LabelMap,
    LabelSchema,
    RegistrationRules,
    Source,
    Volume,
    register,
)

SHAPE, SPACING = (40, 44, 36), (2.0, 2.0, 2.5)
AFFINE = RegistrationRules(kind="affine")


def phantom(seed=0):
    """One head of four tissues, as two sequences see it."""
    rng = np.random.default_rng(seed)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -np.array(SHAPE) * SPACING / 2
    field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 4)
    away = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    tissue = np.where((away**2).sum(0) < 0.8, 1 + np.digitize(field / field.std(), [-0.8, 0, 0.8]), 0)

    def seen(signal, name):
        values = ndimage.gaussian_filter(np.array(signal, float)[tissue], 0.7) + rng.normal(0, 2, SHAPE)
        return Volume(values[None].astype(np.float32), Geometry(SHAPE, affine), (name,))

    return seen([0, 10, 40, 70, 100], "T1"), seen([0, 90, 20, 60, 35], "T2"), tissue


def moved_by(scan, matrix):
    """The scan in a header that says it lies elsewhere."""
    return replace(scan, geometry=Geometry(scan.geometry.shape, matrix @ scan.geometry.affine))


def transform(seed, *, stretched=False):
    """Up to 10 degrees about each axis and 10 mm along each, about the middle of the world."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(rng.uniform(-10, 10, 3))):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix[:3, :3] = turn @ matrix[:3, :3]
    if stretched:
        matrix[:3, :3] = matrix[:3, :3] @ np.diag(rng.uniform(0.95, 1.05, 3))
    matrix[:3, 3] = rng.uniform(-10, 10, 3)
    return matrix


def farthest(scan, *matrices):
    """How far the corners of a scan are from where they were, after one matrix and the next, in mm."""
    corners = scan.geometry.corners()
    points = corners
    for matrix in matrices:
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return float(np.linalg.norm(points - corners, axis=1).max())


@pytest.fixture(scope="module")
def pair():
    return phantom()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_known_rigid_transform_is_found_to_a_fifth_of_a_voxel_at_the_corners(pair, seed):
    fixed, other, _ = pair
    truth = transform(seed)
    found = register(fixed, moved_by(other, truth))
    assert farthest(fixed, truth, found.affine) < 0.4
    assert found.after > found.before
    assert found.voxels > 2
    assert found.overlap > 0.9
    turned = np.degrees(np.arccos((np.trace(truth[:3, :3]) - 1) / 2))
    assert found.rotation_deg == pytest.approx(turned, abs=0.3)


def test_a_known_affine_transform_is_found_to_a_voxel_at_the_corners(pair):
    fixed, other, _ = pair
    truth = transform(3, stretched=True)
    found = register(fixed, moved_by(other, truth), AFFINE)
    assert farthest(fixed, truth, found.affine) < 2.0
    rigid = register(fixed, moved_by(other, truth))
    assert farthest(fixed, truth, found.affine) < farthest(fixed, truth, rigid.affine)
    assert found.after > rigid.after


def test_what_lies_right_stays_there(pair):
    fixed, other, _ = pair
    found = register(fixed, other)
    assert farthest(fixed, found.affine) < 0.4
    assert found.voxels < 0.2


def test_there_and_back_again_is_nowhere(pair):
    fixed, other, _ = pair
    elsewhere = moved_by(other, transform(4))
    there, back = register(fixed, elsewhere), register(elsewhere, fixed)
    assert farthest(fixed, back.affine, there.affine) < 0.4


def test_the_same_scans_give_the_same_answer_bit_for_bit(pair):
    fixed, other, _ = pair
    elsewhere = moved_by(other, transform(5))
    first, second = register(fixed, elsewhere), register(fixed, elsewhere)
    assert first == second
    assert Alignment.from_json(first.to_json(), where="test") == first


def test_how_a_scan_is_stored_changes_nothing(pair):
    fixed, other, _ = pair
    elsewhere = moved_by(other, transform(6))
    plain, turned = register(fixed, elsewhere), register(fixed, elsewhere.reoriented("PIL"))
    assert farthest(fixed, np.linalg.inv(plain.affine), turned.affine) < 0.3


def test_a_scan_is_applied_with_one_interpolation_and_labels_keep_their_values(pair):
    fixed, other, tissue = pair
    truth = transform(7)
    found = register(fixed, moved_by(other, truth))
    applied = found.applied(moved_by(other, truth), fixed.geometry)
    assert applied.geometry is fixed.geometry
    inner = (slice(None), slice(8, -8), slice(8, -8), slice(8, -8))
    assert np.corrcoef(applied.array[inner].ravel(), other.array[inner].ravel())[0, 1] > 0.98
    schema = LabelSchema.of("a", "b", "c", "d")
    labels = LabelMap(tissue.astype(np.uint8), moved_by(other, truth).geometry, schema)
    back = found.applied_to_labels(labels, fixed.geometry)
    assert set(np.unique(back.array)) <= set(np.unique(tissue))
    assert (back.array == tissue)[inner[1:]].mean() > 0.9


def test_the_answer_is_that_of_plain_simpleitk_in_its_own_world(pair):
    """The same search, fed through LPS by hand: our seam turns nothing round."""
    import SimpleITK as itk  # noqa: N813

    fixed, other, _ = pair
    elsewhere = moved_by(other, transform(8))
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])

    def image(scan):
        made = itk.GetImageFromArray(scan.array[0].T.copy())
        affine = to_lps @ scan.geometry.affine
        made.SetSpacing(scan.geometry.spacing)
        made.SetOrigin(affine[:3, 3].tolist())
        made.SetDirection((affine[:3, :3] / scan.geometry.spacing).ravel().tolist())
        return made

    method = itk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(50)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.005, 300, relaxationFactor=0.8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(itk.Euler3DTransform(), inPlace=True)
    done = method.Execute(image(fixed), image(elsewhere))
    ours = register(fixed, elsewhere)
    corners = fixed.geometry.corners()
    theirs = np.array([done.TransformPoint((p * [-1, -1, 1]).tolist()) for p in corners]) * [-1, -1, 1]
    onto = np.linalg.inv(ours.affine)
    mine = corners @ onto[:3, :3].T + onto[:3, 3]
    assert np.linalg.norm(mine - theirs, axis=1).max() < 0.5


def test_scans_that_do_not_overlap_are_refused_unless_their_middles_are_put_together(pair):
    fixed, other, _ = pair
    far = np.eye(4)
    far[0, 3] = 500.0
    truth = far @ transform(9)
    with pytest.raises(DataError, match=r"do not overlap: .* 5\d\d mm apart.*start: centres"):
        register(fixed, moved_by(other, truth))
    found = register(fixed, moved_by(other, truth), RegistrationRules(start="centres"))
    assert farthest(fixed, truth, found.affine) < 0.5


@pytest.mark.parametrize("which", [0, 1])
def test_a_flat_scan_is_refused(pair, which):
    scans = list(pair[:2])
    flat = np.full_like(scans[which].array, 7)
    scans[which] = replace(scans[which], array=flat, source=Source(files=("flat.nii.gz",)))
    with pytest.raises(
        DataError, match=r"shows nothing: all voxels are 7 \(flat\.nii\.gz\)|all voxels are 7"
    ):
        register(*scans)


def test_a_scan_with_nan_is_refused(pair):
    fixed, other, _ = pair
    array = other.array.copy()
    array[0, 3, 3, 3] = np.nan
    with pytest.raises(DataError, match="NaN or infinite"):
        register(fixed, replace(other, array=array))


def test_pictures_and_thin_stacks_are_refused(pair):
    fixed, other, _ = pair
    thin = Volume(other.array[..., :3], Geometry((*SHAPE[:2], 3), other.geometry.affine), other.channels)
    with pytest.raises(GeometryError, match="at least 8 voxels along every axis, got 40 x 44 x 3"):
        register(fixed, thin)


def test_a_result_that_covers_little_is_refused(pair):
    fixed, other, _ = pair
    piece = other.cropped(Box((15, 15, 12), (27, 27, 24)))
    with pytest.raises(
        DataError, match=r"only \d+% of the first is covered by the second .* that is a guess"
    ):
        register(fixed, piece)


def test_scans_that_meet_in_a_corner_are_refused(pair):
    fixed, other, _ = pair
    away = np.eye(4)
    away[:3, 3] = 75.0, 83.0, 85.0  # of 80 x 88 x 90 mm
    with pytest.raises(DataError, match="that is a guess"):
        register(fixed, moved_by(other, away))


def test_what_itk_cannot_search_is_refused_in_words(pair, monkeypatch):
    import SimpleITK as itk  # noqa: N813

    def fails(*_):
        raise RuntimeError("sitk::ERROR\nToo many samples map outside moving image buffer.")

    monkeypatch.setattr(itk.ImageRegistrationMethod, "Execute", fails)
    before = itk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    with pytest.raises(
        DataError, match=r"could not be registered: Too many samples map outside .* Look whether"
    ):
        register(*pair[:2])
    assert itk.ProcessObject.GetGlobalDefaultNumberOfThreads() == before


def test_what_is_found_is_told_in_a_line(pair):
    fixed, other, _ = pair
    told = register(fixed, moved_by(other, transform(1))).to_line()
    assert told.startswith("rigid: moved by up to ")
    assert "mutual information" in told


@pytest.mark.slow
def test_real_sequences_are_found_where_they_were_put(shared_data):
    """A T1 and a FLAIR of one patient, 1 mm: 10 degrees and 10 mm are found to half a millimetre."""
    folder = shared_data / "ms_lesions" / "MNI" / "patient07"
    scans = [read_volume(next(folder.glob(f"{name}_N4*.nii.gz"))) for name in ("T1", "FLAIR")]
    coarse = [scan.resampled(scan.geometry.respaced((2.0, 2.0, 2.0)), order=1) for scan in scans]
    truth = transform(1)
    found = register(coarse[0], moved_by(coarse[1], truth))
    inside = coarse[1].array[0] > 0
    points = coarse[1].geometry.to_world(np.argwhere(inside)[::997].astype(float))
    back = (points @ truth[:3, :3].T + truth[:3, 3]) @ found.affine[:3, :3].T + found.affine[:3, 3]
    assert np.linalg.norm(back - points, axis=1).max() < 0.5
