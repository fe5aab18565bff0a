"""Kernels that are made to fit: what they say stays the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from delineate.networks.kernel import Frame, Layer, fitted, mixed
from delineate.planning.plan import STORED

VOLUME = Frame("RAS", None)
CONVOLUTION, TILING = Layer(), Layer(transposed=True, tiles=True)


def weight(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 2), st.sampled_from([1, 3, 5]), st.sampled_from([1, 3]), st.integers(3, 6))
@settings(max_examples=25, deadline=None)
def test_a_flat_convolution_answers_on_equal_slices_as_on_one(axis, through, edge, slices):
    flat = weight(3, 2, edge, edge)
    sizes = [edge] * 2
    sizes.insert(axis, through)
    solid = fitted(flat, Frame("RAS", axis), VOLUME, tuple(sizes), CONVOLUTION).weight
    x = weight(1, 2, 5, 6, seed=1)
    stack = x.unsqueeze(2 + axis).repeat_interleave(slices, 2 + axis)
    padding = tuple(size // 2 for size in sizes)
    expected = functional.conv2d(x, flat, padding=edge // 2).unsqueeze(2 + axis)
    found = functional.conv3d(stack, solid, padding=padding)
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-5, rtol=1e-5)


@given(st.integers(0, 2), st.sampled_from([1, 2]))
@settings(max_examples=10, deadline=None)
def test_a_flat_transposed_convolution_does_too(axis, through):
    flat = weight(2, 3, 2, 2)
    sizes = [2, 2]
    sizes.insert(axis, through)
    solid = fitted(flat, Frame("RAS", axis), VOLUME, tuple(sizes), TILING).weight
    x = weight(1, 2, 4, 5, seed=1)
    stack = x.unsqueeze(2 + axis).repeat_interleave(3, 2 + axis)
    expected = functional.conv_transpose2d(x, flat, stride=2).unsqueeze(2 + axis)
    found = functional.conv_transpose3d(stack, solid, stride=tuple(sizes))
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-5, rtol=1e-5)


@given(st.integers(0, 2))
@settings(max_examples=5, deadline=None)
def test_a_flat_convolution_that_tiles_the_image_sees_the_mean_of_equal_slices(axis):
    flat = weight(3, 2, 2, 2)
    layer = Layer(tiles=True)
    solid = fitted(flat, Frame("RAS", axis), VOLUME, (2, 2, 2), layer)
    x = weight(1, 2, 4, 6, seed=1)
    stack = x.unsqueeze(2 + axis).repeat_interleave(4, 2 + axis)
    expected = functional.conv2d(x, flat, stride=2).unsqueeze(2 + axis)
    found = functional.conv3d(stack, solid.weight, stride=2)
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-5, rtol=1e-5)
    assert solid.how == f"spread along {'ijk'[axis]}"
    assert torch.equal(fitted(solid.weight, VOLUME, Frame("RAS", axis), (2, 2), layer).weight, flat)


@given(st.integers(0, 2), st.sampled_from([3, 5]))
@settings(max_examples=10, deadline=None)
def test_to_3d_and_back_is_the_same_kernel(axis, through):
    frame, flat = Frame("RAS", axis), weight(3, 2, 3, 3)
    sizes = [3, 3]
    sizes.insert(axis, through)
    there = fitted(flat, frame, VOLUME, tuple(sizes), CONVOLUTION)
    back = fitted(there.weight, VOLUME, frame, (3, 3), CONVOLUTION)
    assert torch.equal(back.weight, flat)
    assert "centred" in there.how
    assert "summed" in back.how


@given(st.permutations("RAS"), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=20, deadline=None)
def test_turning_there_and_back_changes_nothing(order, flips):
    opposite = dict(zip("RAS", "LPI", strict=True))
    other = Frame("".join(opposite[a] if flip else a for a, flip in zip(order, flips, strict=True)), None)
    kernel = weight(2, 2, 3, 3, 3)
    turned = fitted(kernel, VOLUME, other, (3, 3, 3), CONVOLUTION)
    back = fitted(turned.weight, other, VOLUME, (3, 3, 3), CONVOLUTION)
    assert torch.equal(back.weight, kernel)
    assert (turned.how == "") == (other.orientation == "RAS")


def test_scans_taken_as_they_are_stored_are_not_turned():
    kernel = weight(2, 2, 3, 3, 3)
    assert torch.equal(fitted(kernel, Frame(STORED, None), VOLUME, (3, 3, 3), CONVOLUTION).weight, kernel)


@pytest.mark.parametrize(
    ("edge", "layer"), [(5, Layer()), (4, Layer()), (4, Layer(True, True)), (4, Layer(True))]
)
def test_what_would_change_its_meaning_is_not_made_to_fit(edge, layer):
    kernel = weight(2, 2, edge, edge, edge)
    assert fitted(kernel, VOLUME, VOLUME, (3, 3, 3), layer) is None


def test_a_longer_stride_writes_the_same_values_and_a_shorter_one_their_mean():
    kernel = weight(1, 1, 1, 2, 2)
    longer = fitted(kernel, VOLUME, VOLUME, (2, 2, 2), TILING)
    assert torch.equal(longer.weight[:, :, 0], longer.weight[:, :, 1])
    shorter = fitted(longer.weight, VOLUME, VOLUME, (1, 2, 2), TILING)
    torch.testing.assert_close(shorter.weight, kernel)
    assert shorter.how == "averaged along i"


def test_entries_are_sums_of_others_or_their_own():
    theirs, own = weight(2, 3), weight(2, 2, seed=1)
    found = mixed(theirs, 1, [[(2, 1.0)], []], own)
    assert torch.equal(found[:, 0], theirs[:, 2])
    assert torch.equal(found[:, 1], own[:, 1])
    torch.testing.assert_close(mixed(theirs, 1, [[(0, 0.5), (1, 0.5)]], own)[:, 0], theirs[:, :2].mean(1))
