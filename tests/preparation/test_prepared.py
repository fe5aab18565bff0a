from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.planning.plan import Denoise, Normalization
from delineate.preparation.align import labels_on
from delineate.preparation.prepared import (
    interpolation,
    prepare_scan,
    respaced,
    respaced_labels,
    thick_axis,
    upright,
)
from delineate.space import Box, Geometry, Volume, resample, resample_labels
from delineate.space.phantoms import balls

PEER = Path(__file__).parent / "peer"
PEER_CASES = {case.name: case for case in run_path(str(PEER / "cases.py"))["peer_cases"]()}
CT = Normalization(rule="ct", **run_path(str(PEER / "cases.py"))["CT"])


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


# -- the same as nnU-Net


@pytest.fixture(scope="module", params=PEER_CASES)
def beside_peer(request, scan_of, plan_of, configuration_of):
    """A case with what we make of it, and what nnU-Net made."""
    case = PEER_CASES[request.param]
    rules = [CT if rule == "ct" else Normalization(rule=rule, masked=case.masked) for rule in case.rules]
    configuration = configuration_of(case.target, slice_axis=case.slice_axis)
    names = [f"c{n}" for n in range(len(rules))]
    plan = plan_of(channels=names, rules=rules, configurations={"3d_fullres": configuration})
    scan = scan_of(case.image, case.spacing, channels=tuple(names))
    start = upright(scan, plan)
    labels = labels_on(case.labels, scan.geometry, start.cropped)
    with np.load(PEER / "golden.npz") as golden:
        image, values = golden[f"{case.name}_image"], golden[f"{case.name}_labels"]
    ours = respaced(start, configuration), respaced_labels(labels, start.cropped, configuration)
    return case, ours, (image, values)


def test_scans_are_prepared_as_nnunet_does(beside_peer):
    case, (ours, _), (image, values) = beside_peer
    if case.masked:  # the peer cuts what splines smear out of the patient only in augmentation
        assert np.array_equal(ours.array[0] != 0, values >= 0)
        image = image * (values >= 0)
    assert ours.array.shape == image.shape
    difference = np.abs(ours.array - image)  # in standard deviations
    if case.slice_axis is None:
        assert difference.max() < 5e-6
    else:  # slices: we bound overshoot by the range of each slice, the peer by that of the scan
        assert np.quantile(difference, 0.995) < 5e-6
        assert difference.max() < 0.1


def test_labels_are_prepared_as_nnunet_does(beside_peer):
    _, (_, labels), (_, values) = beside_peer
    assert np.array_equal(labels, np.maximum(values, 0))  # -1 is outside the patient there


# -- laws


def test_a_scan_that_fits_the_plan_is_only_normalised(scan_of, plan_of):
    scan = scan_of(np.random.default_rng(0).normal(5, 2, (1, 7, 8, 9)).astype(np.float32))
    plan = plan_of(rules=[Normalization(rule="none")])
    prepared = prepare_scan(scan, plan, plan.configuration())
    assert np.array_equal(prepared.array, scan.array)
    assert prepared.geometry.same_place(scan.geometry)


@pytest.mark.parametrize(
    ("spacing", "enough"), [((1.0, 1.0, 1.0), 0.98), ((0.7, 0.8, 0.9), 0.98), ((1.5, 1.5, 1.5), 0.92)]
)
def test_preparation_undoes_itself(plan_of, configuration_of, spacing, enough):
    """As far as labels of that spacing can tell where a ball with a radius of seven voxels ends."""
    scan, labels = balls(np.random.default_rng(3), size=48)
    scan = scan.reoriented("LSP")
    configuration = configuration_of(spacing)
    start = upright(scan, plan_of())
    turned = labels_on(labels.reoriented("LSP").array, scan.geometry, start.cropped)
    there = respaced_labels(turned, start.cropped, configuration)
    grid, _ = interpolation(start.cropped, configuration, order=1)
    back = resample_labels(there, grid, labels.geometry)
    for value in (1, 2):
        assert dice(back == value, labels.array == value) > enough


def test_without_a_change_of_spacing_preparation_undoes_itself_exactly(two_blocks, plan_of, configuration_of):
    scan, _ = two_blocks
    turned_spacing = scan.geometry.reoriented("RAS").spacing
    plan = plan_of(rules=[Normalization(rule="none")])
    prepared = prepare_scan(scan, plan, configuration_of(turned_spacing))
    back = resample(prepared.array, prepared.geometry, scan.geometry, order=1, outside=0)
    assert np.array_equal(back, scan.array)


@given(st.permutations("RAS"), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=15, deadline=None)
def test_however_the_scan_lies_the_network_sees_the_same(scan_of, plan_of, configuration_of, axes, flips):
    opposite = dict(zip("RAS", "LPI", strict=True))
    orientation = "".join(opposite[a] if flip else a for a, flip in zip(axes, flips, strict=True))
    array = np.random.default_rng(0).normal(5, 2, (1, 6, 7, 8))
    plan, configuration = plan_of(), configuration_of((1.3, 1.2, 2.0))
    upright_scan = prepare_scan(scan_of(array, (1, 1.5, 2)), plan, configuration)
    turned_scan = prepare_scan(scan_of(array, (1, 1.5, 2), orientation=orientation), plan, configuration)
    assert np.allclose(turned_scan.array, upright_scan.array, atol=1e-5)
    assert turned_scan.geometry.same_place(upright_scan.geometry)


def test_an_empty_border_changes_nothing(two_blocks, plan_of, configuration_of):
    scan, _ = two_blocks
    wide = scan.resampled(scan.geometry.cropped(Box((-4, -2, 0), (30, 27, 25))), order=0)
    plan, configuration = plan_of(), configuration_of((1.4, 1.4, 1.4))
    tight, loose = prepare_scan(scan, plan, configuration), prepare_scan(wide, plan, configuration)
    assert np.array_equal(tight.array, loose.array)
    assert tight.geometry.same_place(loose.geometry)


def test_a_plan_may_keep_the_border(two_blocks, plan_of):
    scan, _ = two_blocks
    plan = plan_of(crop_to_nonzero=False)
    assert prepare_scan(scan, plan, plan.configuration()).cropped.shape == (20, 24, 26)


def test_masked_channels_are_zero_outside_the_patient(scan_of, plan_of, configuration_of):
    head = np.linalg.norm(np.indices((20, 20, 20)) - 9.5, axis=0) < 8
    rng = np.random.default_rng(0)
    scan = scan_of(np.stack([head * rng.uniform(100, 200, head.shape), head * rng.uniform(1, 9, head.shape)]))
    rules = [Normalization(rule="zscore", masked=True), Normalization(rule="zscore")]
    plan = plan_of(channels=("image", "T2"), rules=rules)
    masked, free = prepare_scan(scan, plan, configuration_of((1.3, 1.3, 1.3))).array
    corner = (slice(2),) * 3
    assert not masked[corner].any()
    assert (free[corner] < -0.5).all()
    assert (masked == 0).mean() == pytest.approx(1 - head[1:17, 1:17, 1:17].mean(), abs=0.15)


def test_a_scan_of_zeros_is_prepared_to_zeros(scan_of, plan_of):
    plan = plan_of(rules=[Normalization(rule="zscore", masked=True)])
    assert not prepare_scan(scan_of(np.zeros((1, 4, 5, 6))), plan, plan.configuration()).array.any()


def test_slices_of_a_2d_configuration_stay_where_they_are(scan_of, plan_of, configuration_of):
    scan = scan_of(np.random.default_rng(0).random((1, 5, 8, 9)), (3.0, 1.0, 1.0))
    prepared = prepare_scan(scan, plan_of(), configuration_of((1.0, 2.0, 2.0), slice_axis=0))
    assert prepared.array.shape == (1, 5, 4, 4)
    assert prepared.geometry.spacing[0] == 3.0


def test_a_picture_is_prepared_in_its_plane(plan_of, configuration_of):
    array = np.random.default_rng(0).integers(0, 255, (3, 12, 10, 1)).astype(np.uint8)
    names = ("red", "green", "blue")
    scan = Volume(array, Geometry.of_image((12, 10)), names)
    plan = plan_of(
        channels=names, rules=[Normalization(rule="rgb")] * 3, orientation=scan.geometry.orientation
    )
    prepared = prepare_scan(scan, plan, configuration_of((2.0, 2.0, 1.0), slice_axis=2))
    assert prepared.array.shape == (3, 6, 5, 1)
    assert 0 <= prepared.array.min() <= prepared.array.max() <= 1


def test_noise_is_taken_out_before_normalisation(scan_of, plan_of):
    array = np.full((1, 9, 9, 9), 10.0)
    array[0, 4, 4, 4] = 1000
    plan = plan_of(denoise=[Denoise(rule="median")])
    assert not prepare_scan(scan_of(array), plan, plan.configuration()).array.any()


def test_the_scan_itself_stays_as_it_is(two_blocks, plan_of):
    scan, _ = two_blocks
    before = scan.array.copy()
    plan = plan_of(denoise=[Denoise(rule="median")])
    prepare_scan(scan, plan, plan.configuration())
    assert np.array_equal(scan.array, before)


# -- thick slices


@pytest.mark.parametrize(
    ("current", "target", "axis"),
    [
        ((1, 1, 1), (1, 1, 1), None),
        ((0.8, 0.8, 4), (1, 1, 1), 2),
        ((4, 0.8, 0.8), (1, 1, 1), 0),
        ((1, 1, 3), (1, 1, 3), None),  # not above 3
        ((1, 1, 1), (1, 5, 1), 1),  # thick only afterwards
        ((0.3, 1.2, 1.2), (1, 1, 5), None),  # two axes are the coarsest
        ((0.3, 1.2, 1.2000001), (1, 1, 1), None),  # ... but for rounding
    ],
)
def test_across_thick_slices_nothing_is_interpolated(configuration_of, current, target, axis):
    assert thick_axis(current, target) == axis
    source = Geometry((10, 10, 10), np.diag([*current, 1]))
    grid, orders = interpolation(source, configuration_of(tuple(map(float, target))), order=3)
    assert orders == tuple(0 if a == axis else 3 for a in range(3))
    assert np.allclose(grid.corners(), source.corners())


def test_thick_slices_repeat_or_are_left_out(scan_of, plan_of, configuration_of):
    array = np.random.default_rng(0).random((1, 6, 6, 4)).astype(np.float32)
    scan = scan_of(array, (1.0, 1.0, 5.0))
    plan = plan_of(rules=[Normalization(rule="none")])
    finer = prepare_scan(scan, plan, configuration_of((1.0, 1.0, 2.5))).array
    assert np.array_equal(finer, array.repeat(2, axis=3))


# -- refusals


def test_another_number_of_channels_is_refused(scan_of, plan_of):
    plan = plan_of()
    with pytest.raises(
        DataError, match=r"the plan expects 1 channels \(image\), this scan has 2 \(image, T2\)"
    ):
        prepare_scan(scan_of(np.ones((2, 3, 3, 3))), plan, plan.configuration())


def test_channels_in_another_order_are_refused(scan_of, plan_of):
    plan = plan_of(channels=("image", "T2"))
    scan = scan_of(np.ones((2, 3, 3, 3)), channels=("T2", "image"))
    with pytest.raises(DataError, match="another order: the plan expects image, T2, this scan has T2, image"):
        prepare_scan(scan, plan, plan.configuration())


# -- scans that lack a channel


@pytest.fixture
def pair_of_channels(scan_of, plan_of, configuration_of):
    """A scan of two channels, normalised inside the patient, and a plan that can do without the second."""
    array = np.zeros((2, 12, 11, 10), np.float32)
    array[:, 2:10, 2:9, 1:9] = np.random.default_rng(0).uniform(5, 9, (2, 8, 7, 8))
    scan = scan_of(array, (1.0, 1.0, 1.5), channels=("T1", "FLAIR"))
    rules = [Normalization(rule="zscore", masked=True), CT]
    configuration = configuration_of((1.0, 1.0, 1.0))
    plan = plan_of(channels=["T1", "FLAIR"], rules=rules, configurations={"3d_fullres": configuration})
    return scan, plan.but(may_lack=("FLAIR",)), configuration


def test_a_missing_channel_is_zero_all_over_and_the_others_are_as_ever(pair_of_channels):
    scan, plan, configuration = pair_of_channels
    whole = prepare_scan(scan, plan, configuration)
    lacking = prepare_scan(Volume(scan.array[:1], scan.geometry, ("T1",)), plan, configuration)
    assert lacking.array.shape == whole.array.shape
    assert np.array_equal(lacking.array[0], whole.array[0])
    assert not lacking.array[1].any()
    assert (whole.array[1] != 0).any()


def test_a_missing_channel_that_is_normalised_late_is_zero_too(pair_of_channels):
    scan, plan, configuration = pair_of_channels
    late = plan.but(normalized="resampled")
    lacking = prepare_scan(Volume(scan.array[:1], scan.geometry, ("T1",)), late, configuration)
    assert not lacking.array[1].any()


def test_a_channel_that_the_plan_needs_is_not_made_up(pair_of_channels):
    scan, plan, configuration = pair_of_channels
    without = Volume(scan.array[1:], scan.geometry, ("FLAIR",))
    with pytest.raises(DataError, match=r"expects 2 channels \(T1, FLAIR\), this scan has 1 \(FLAIR\)"):
        prepare_scan(without, plan, configuration)
