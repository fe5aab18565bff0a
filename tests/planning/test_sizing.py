import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import PlanError
from delineate.planning.presets import PRESETS, SMALLEST_BATCH
from delineate.planning.sizing import Allowance, Demand, first_patch, sized

DEMAND = Demand(inputs=1, outputs=3, voxels=1e12)
GPU = Allowance(PRESETS["default"], 8)


def cpu(gflop, *, batches=None, edges=None):
    return Allowance(
        PRESETS["default"], 8, gflop * 1e9, (32, 24, 16), batches or {2: 8, 3: 2}, edges or {2: 64, 3: 32}
    )


@st.composite
def grids(draw):
    dims = draw(st.integers(2, 3))
    spacing = draw(st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.5, 3.0, 5.0])] * dims))
    return spacing, draw(st.tuples(*[st.integers(12, 300)] * dims))


def test_the_published_patch_of_lung_nodules():
    draft, _ = sized((1.245, 0.785, 0.785), (252, 512, 512), DEMAND, GPU)
    assert draft.shape.patch == (80, 192, 160)
    assert draft.batch == 2
    assert draft.network.features == (32, 64, 128, 256, 320, 320)


def test_the_published_2d_patch_of_lung_nodules():
    draft, _ = sized((0.785, 0.785), (512, 512), DEMAND, GPU)
    assert draft.shape.patch == (512, 512)
    assert draft.batch == 12


def test_the_first_patch_has_the_proportions_of_the_tissue_and_stays_within_the_median_case():
    assert first_patch((1, 1, 1), (1000, 1000, 1000)) == [256, 256, 256]
    assert first_patch((4, 1, 1), (1000, 1000, 1000)) == [102, 406, 406]
    assert first_patch((1, 1, 1), (50.5, 1000, 60)) == [50.5, 256, 60]
    assert first_patch((1, 1), (5000, 5000)) == [2048, 2048]


@given(grids())
@settings(max_examples=40)
def test_a_batch_of_two_fits_into_memory(grid):
    draft, _ = sized(*grid, DEMAND, GPU)
    assert draft.fits_memory
    assert draft.batch >= SMALLEST_BATCH
    assert all(n % d == 0 for n, d in zip(draft.shape.patch, draft.shape.divisor, strict=True))


@given(grids(), st.sampled_from([4, 6, 8, 11, 16, 24, 32]), st.sampled_from([1.2, 2, 4]))
@settings(max_examples=40)
def test_more_memory_never_gives_fewer_voxels_in_a_patch(grid, memory_gb, factor):
    small, _ = sized(*grid, DEMAND, Allowance(PRESETS["default"], memory_gb))
    large, _ = sized(*grid, DEMAND, Allowance(PRESETS["default"], memory_gb * factor))
    assert math.prod(small.shape.patch) <= math.prod(large.shape.patch)


@given(grids(), st.sampled_from([30, 60, 120, 240, 480]), st.sampled_from([1.5, 2, 8]))
@settings(max_examples=40)
def test_more_time_never_gives_a_narrower_network(grid, gflop, factor):
    less, _ = sized(*grid, DEMAND, cpu(gflop))
    more, _ = sized(*grid, DEMAND, cpu(gflop * factor))
    assert less.width <= more.width
    if less.width == more.width:
        assert math.prod(less.shape.patch) <= math.prod(more.shape.patch)


@given(grids(), st.sampled_from([30, 120, 480]))
@settings(max_examples=40)
def test_work_is_done_in_time_or_nothing_is_left_to_cut(grid, gflop):
    draft, _ = sized(*grid, DEMAND, cpu(gflop))
    done = draft.operations * draft.batch <= gflop * 1e9
    floor = {2: 64, 3: 32}[draft.dims]
    finest = min(draft.spacing)
    cut = [n <= floor * finest / s for n, s in zip(draft.shape.patch, draft.spacing, strict=True)]
    assert done or (draft.width == 16 and (all(cut) or draft.cut([cut.index(False)]) is not None))


def test_time_cuts_the_batch_first_then_the_width_then_the_patch():
    grid = ((1.0, 1.0), (256, 256))
    free = sized(*grid, DEMAND, GPU)[0]
    seen = []
    for gflop in (20_000, 2_000, 500, 250, 60):
        draft = sized(*grid, DEMAND, cpu(gflop))[0]
        seen.append((draft.batch, draft.width, draft.shape.patch))
    assert seen[0] == (free.batch, 32, free.shape.patch)
    assert seen[1][0] < free.batch
    assert seen[1][1:] == (32, free.shape.patch)
    assert [width for _, width, _ in seen] == sorted((width for _, width, _ in seen), reverse=True)
    assert seen[-1][1] == 16
    assert math.prod(seen[-1][2]) < math.prod(free.shape.patch)


def test_a_patch_is_not_cut_below_what_shows_an_organ():
    draft = sized((1, 1, 1), (200, 200, 200), DEMAND, cpu(0.001))[0]
    assert min(draft.shape.patch) >= 24
    assert draft.batch == SMALLEST_BATCH


def test_few_thick_slices_are_not_cut_away_for_speed():
    draft = sized((5, 0.8, 0.8), (20, 320, 320), DEMAND, cpu(20))[0]
    assert draft.shape.patch[0] >= 5


def test_a_batch_holds_no_more_than_a_share_of_the_dataset():
    small = Demand(1, 3, voxels=20 * 64**3)
    assert sized((1, 1, 1), (64, 64, 64), small, GPU)[0].batch == SMALLEST_BATCH
    many = Demand(1, 3, voxels=200 * 64**3)
    assert sized((1, 1, 1), (64, 64, 64), many, GPU)[0].batch == 10
    residual = Allowance(PRESETS["M"], 8)
    assert sized((1, 1, 1), (64, 64, 64), small, residual)[0].batch == 20


def test_more_outputs_take_more_memory():
    few = sized((1, 1, 1), (200, 200, 200), Demand(1, 2, 1e12), GPU)[0]
    many = sized((1, 1, 1), (200, 200, 200), Demand(1, 118, 1e12), GPU)[0]
    assert math.prod(many.shape.patch) < math.prod(few.shape.patch)


def test_memory_that_holds_nothing_is_refused():
    with pytest.raises(PlanError, match="GB of memory hold no network for 1 channels and 3 outputs"):
        sized((1, 1, 1), (200, 200, 200), DEMAND, Allowance(PRESETS["default"], 1e-9))
