import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.planning.topology import SMALLEST_EDGE, topology

spacings = st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.floats(0.2, 10)] * n))


@st.composite
def grids(draw):
    spacing = draw(spacings)
    return spacing, draw(st.tuples(*[st.integers(1, 400)] * len(spacing)))


def halvings(shape):
    return [int(math.log2(d)) for d in shape.divisor]


@pytest.mark.parametrize(
    ("spacing", "size", "expected"),
    [
        ((1, 1, 1), (128, 128, 128), [5, 5, 5]),
        ((1.245, 0.785, 0.785), (80, 192, 160), [4, 5, 5]),
        ((5, 0.79, 0.79), (20, 320, 256), [2, 6, 6]),
        ((10, 1.5, 1.5), (16, 256, 224), [2, 5, 5]),
    ],
)
def test_published_topologies(spacing, size, expected):
    found = topology(spacing, size)
    assert halvings(found) == expected
    assert found.patch == size


def test_the_published_plan_of_lung_nodules():
    found = topology((1.245, 0.785, 0.785), (80, 192, 160))
    assert found.strides[-1] == (1, 2, 2)
    assert found.divisor == (16, 32, 32)


def test_thick_slices_are_not_convolved_across_at_first():
    assert topology((5, 0.79, 0.79), (20, 320, 256)).kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))


@given(grids())
def test_the_patch_is_a_multiple_of_the_divisor_and_no_smaller_than_asked(grid):
    spacing, size = grid
    found = topology(spacing, size)
    for patch, divisor, n in zip(found.patch, found.divisor, size, strict=True):
        assert patch % divisor == 0
        assert n <= patch < n + divisor


@given(grids())
def test_feature_maps_never_become_smaller_than_the_smallest_edge(grid):
    spacing, size = grid
    found = topology(spacing, size)
    for patch, divisor, n in zip(found.patch, found.divisor, size, strict=True):
        assert patch // divisor >= min(SMALLEST_EDGE, n)


@given(grids())
def test_there_is_a_kernel_for_every_stage_and_the_bottleneck_sees_all_around(grid):
    found = topology(*grid)
    assert len(found.kernels) == len(found.strides)
    assert set(found.strides[0]) == {1}
    assert set(found.kernels[-1]) == {3}
    for finer, coarser in zip(found.kernels[:-1], found.kernels[1:], strict=True):
        assert all(a <= b for a, b in zip(finer, coarser, strict=True))  # once 3, always 3


@given(grids(), st.floats(0.1, 10))
def test_only_the_proportions_of_the_spacing_matter(grid, factor):
    spacing, size = grid
    ratios = [a / b for a in spacing for b in spacing]
    if all(abs(math.log2(r) - round(math.log2(r))) > 1e-6 or r == 1 for r in ratios):  # not on a threshold
        assert topology([s * factor for s in spacing], size) == topology(spacing, size)


@given(grids())
def test_the_order_of_the_axes_does_not_matter(grid):
    spacing, size = grid
    forth, back = topology(spacing, size), topology(spacing[::-1], size[::-1])
    assert back.patch == forth.patch[::-1]
    assert back.strides == tuple(step[::-1] for step in forth.strides)
    assert back.kernels == tuple(kernel[::-1] for kernel in forth.kernels)


def test_a_last_axis_is_halved_alone_only_when_it_is_long():
    assert halvings(topology((1, 1), (4, 11))) == [0, 0]
    assert halvings(topology((1, 1), (4, 12))) == [0, 1]


def test_a_tiny_image_is_not_halved():
    assert topology((1, 1, 1), (7, 7, 7)).strides == ((1, 1, 1),)
    assert topology((1, 1, 1), (6.5, 7, 7)).patch == (7, 7, 7)
