import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import PlanError
from delineate.planning.configurations import LOWRES_BELOW, LOWRES_FACTOR, configurations, counted_outputs
from delineate.planning.presets import PRESETS
from delineate.planning.sizing import Allowance
from delineate.planning.spacing import Frame
from delineate.space import LabelSchema

GPU = Allowance(PRESETS["default"], 8)
CPU = Allowance(PRESETS["default"], 8, 200e9, (32, 24, 16), {2: 8, 3: 2}, {2: 64, 3: 32})


def chosen(found, allowance=GPU):
    return configurations(found, Frame.of(found), allowance)


shapes = st.tuples(*[st.integers(12, 400)] * 3)
spacings = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.5, 3.0, 6.0])] * 3)


@given(shape=shapes, spacing=spacings, allowance=st.sampled_from([GPU, CPU]))
@settings(max_examples=25, deadline=None)
def test_every_patch_fits_its_network_along_i_j_k(shape, spacing, allowance, fingerprint_of):
    found = fingerprint_of([shape] * 20, spacing)
    for each in chosen(found, allowance).values():
        configuration = each.configuration  # made at all: edges are multiples of the divisor
        assert configuration.edges == tuple(
            n for n in configuration.patch if n > 1 or 1 in each.draft.shape.patch
        )
        assert configuration.batch == each.draft.batch


@given(shape=shapes, spacing=spacings, order=st.permutations([0, 1, 2]))
@settings(max_examples=25, deadline=None)
def test_turned_scans_get_the_turned_plan(shape, spacing, order, fingerprint_of):
    straight = chosen(fingerprint_of([shape] * 20, spacing))
    turned = chosen(fingerprint_of([[shape[a] for a in order]] * 20, [spacing[a] for a in order]))
    if len(set(spacing)) < 3 or len({n / s for n, s in zip(shape, spacing, strict=True)}) < 3:
        return  # ties are decided by the order of the axes
    assert set(turned) == set(straight)
    for name, each in straight.items():
        ours, theirs = each.configuration, turned[name].configuration
        assert theirs.patch == tuple(ours.patch[a] for a in order)
        assert theirs.spacing == pytest.approx(tuple(ours.spacing[a] for a in order))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_run_across_the_coarsest_axis_and_keep_their_distance(axis, fingerprint_of):
    spacing = tuple(5.0 if a == axis else 1.0 for a in range(3))
    flat = chosen(fingerprint_of([(64, 64, 64)] * 9, spacing))["2d"].configuration
    assert flat.slice_axis == axis
    assert flat.patch == tuple(1 if a == axis else 64 for a in range(3))
    assert flat.spacing == spacing
    assert flat.median_shape == (64, 64, 64)
    assert flat.network.dims == 2
    assert flat.batch_dice


def test_the_slice_distance_of_pictures_is_what_was_measured(fingerprint_of):
    found = chosen(fingerprint_of([(120, 110, 1)] * 9, (0.5, 0.5, 3.0)))
    assert set(found) == {"2d"}
    assert found["2d"].configuration.spacing == (0.5, 0.5, 3.0)


def test_small_scans_need_no_lower_resolution(fingerprint_of):
    found = chosen(fingerprint_of([(64, 64, 64)] * 30, (1, 1, 1)))
    assert set(found) == {"2d", "3d_fullres"}
    assert not found["3d_fullres"].configuration.batch_dice


def test_large_scans_get_one_and_a_cascade_on_top(fingerprint_of):
    found = chosen(fingerprint_of([(400, 400, 400)] * 30, (1, 1, 1)))
    assert set(found) == {"2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    full, low = found["3d_fullres"], found["3d_lowres"]
    assert full.seen < LOWRES_BELOW <= low.seen
    assert full.configuration.batch_dice
    assert not low.configuration.batch_dice
    assert math.prod(full.configuration.median_shape) > LOWRES_FACTOR * math.prod(
        low.configuration.median_shape
    )
    assert found["3d_cascade_fullres"].configuration == full.configuration.but(previous="3d_lowres")


def test_a_resolution_that_is_hardly_lower_is_dropped(fingerprint_of):
    found = chosen(fingerprint_of([(205, 205, 205)] * 30, (1, 1, 1)))
    assert found["3d_fullres"].seen < LOWRES_BELOW
    assert "3d_lowres" not in found


def test_the_finer_axes_are_coarsened_first(fingerprint_of):
    low = chosen(fingerprint_of([(600, 600, 150)] * 30, (0.5, 0.5, 3.0)))["3d_lowres"].configuration
    assert low.spacing[2] == 3.0
    assert low.spacing[0] == low.spacing[1] > 2 * 0.5


@pytest.mark.parametrize(
    ("labels", "count"), [({"a": 1}, 2), ({"a": 1, "b": 2, "ignore": 3}, 4), ({"w": [1, 2], "c": [2]}, 3)]
)
def test_outputs_are_counted_as_the_peer_counts_them(labels, count, schema_of):
    assert counted_outputs(schema_of(labels)) == count


def test_the_plan_of_sixty_classes_is_made(fingerprint_of):
    schema = LabelSchema.of(*(f"structure {n}" for n in range(60)))
    found = chosen(fingerprint_of([(122, 101, 112)], (3, 3, 3), channels=("CT",), labels=schema), CPU)
    assert found["3d_fullres"].draft.demand.outputs == 61


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((7, 6, 1), r"the median image has 6 x 7 voxels of 1 x 1 mm, and a patch of 6 x 7 fits into 8 GB"),
        ((7, 7, 7), r"cannot halve that even once. Use larger crops"),
    ],
)
def test_images_too_small_to_halve_are_refused(shape, said, fingerprint_of):
    with pytest.raises(PlanError, match=said):
        chosen(fingerprint_of([shape] * 5, (1, 1, 1)))


def test_memory_for_no_more_than_a_few_voxels_is_refused(fingerprint_of):
    few = Allowance(PRESETS["default"], 0.001)
    with pytest.raises(PlanError, match=r"fits into 0.001 GB: a U-Net cannot halve that .*or more memory"):
        chosen(fingerprint_of([(64, 64, 64)] * 5, (1, 1, 1)), few)


def test_a_short_fine_axis_does_not_stop_the_search_for_a_lower_resolution(fingerprint_of):
    found = chosen(fingerprint_of([(95, 12, 200)] * 20, (1.5, 0.5, 1.5)), CPU)
    assert not any(each.draft.is_shallow for each in found.values())
