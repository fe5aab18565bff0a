import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from torch import nn

from delineate.errors import ModelError
from delineate.inference.predictor import Predictor
from delineate.inference.source import Source
from delineate.inference.stream import Stream, home, joined, slab_values
from delineate.inference.windows import Windows

CPU = torch.device("cpu")


def stream(image, predict, patch, *, axis=0, batch=2, step=0.5, done=lambda: None):
    source = Source.of(image, None, 0, patch)
    return Stream(source, Windows(source.padded, patch, axis, step), predict, batch, done)


def all_planes(image, network, patch, *, axis=0, outputs=2, slice_axis=None, **more):
    predict = Predictor([network], outputs, slice_axis, (), CPU, None)
    planes = stream(image, predict, patch, axis=axis, **more)
    with torch.inference_mode():
        return torch.stack(
            [planes.plane(n, slice(None)) for n in range(image.shape[axis + 1])], dim=axis + 1
        ).numpy()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(*[st.integers(1, 22)] * 3),
    st.sampled_from([(8, 8, 8), (6, 10, 3), (16, 4, 1)]),
    st.sampled_from([0, 1, 2]),
    st.integers(1, 5),
    st.floats(0.25, 1),
)
def test_a_network_that_returns_its_input_gives_the_input_back(shape, patch, axis, batch, step):
    image = noise(2, *shape)
    got = all_planes(image, nn.Identity(), patch, axis=axis, batch=batch, step=step)
    assert np.allclose(got, image, atol=2e-6)


@pytest.mark.parametrize("shape", [(16, 16, 16), (24, 16, 8), (20, 28, 12)])
def test_the_logits_are_monais(shape, make_network):
    """Where the grids agree: sizes that half a window divides."""
    network, patch = make_network(1, 3), (8, 8, 8)
    image = noise(1, *shape)
    theirs = sliding_window_inference(
        torch.from_numpy(image)[None], patch, 2, network, overlap=0.5, mode="gaussian", sigma_scale=0.125
    )
    assert np.allclose(all_planes(image, network, patch, outputs=3), theirs[0].numpy(), atol=1e-5)


def test_the_logits_of_slices_are_monais(make_network):
    network, image = make_network(1, 3, dims=2), noise(1, 16, 24, 3)
    theirs = [
        sliding_window_inference(
            torch.from_numpy(image[None, ..., k]), (8, 8), 2, network, overlap=0.5, mode="gaussian"
        )
        for k in range(3)
    ]
    ours = all_planes(image, network, (8, 8, 1), axis=2, outputs=3, slice_axis=2)
    assert np.allclose(ours, torch.stack(theirs, dim=-1)[0].numpy(), atol=1e-5)


def test_the_result_does_not_depend_on_batch_or_axis(make_network):
    network, image = make_network(1, 2), noise(1, 13, 17, 11)
    expected = all_planes(image, network, (8, 8, 8))
    for axis, batch in ((0, 1), (0, 7), (1, 3), (2, 2)):
        got = all_planes(image, network, (8, 8, 8), axis=axis, batch=batch)
        assert np.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_slices_restacked_equal_inference_slice_by_slice_to_the_bit(slice_axis, make_network):
    network, image = make_network(1, 2, dims=2), noise(1, 12, 13, 14)
    patch = tuple(1 if n == slice_axis else 8 for n in range(3))
    arguments = {"axis": slice_axis, "slice_axis": slice_axis, "batch": 5}
    together = all_planes(image, network, patch, **arguments)
    for n in range(image.shape[slice_axis + 1]):
        one = image.take([n], axis=slice_axis + 1)
        alone = all_planes(one, network, patch, **arguments)
        assert np.array_equal(alone, together.take([n], axis=slice_axis + 1))


def test_rows_are_predicted_when_they_are_needed(make_network):
    rows = []
    predict = Predictor([make_network(1, 2)], 2, None, (), CPU, None)
    planes = stream(noise(1, 24, 8, 8), predict, (8, 8, 8), done=lambda: rows.append(1))
    with torch.inference_mode():
        for number, expected in ((0, 1), (3, 1), (4, 2), (7, 2), (8, 3), (23, 5)):
            planes.plane(number, slice(None))
            assert len(rows) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(value):
    image = noise(2, 20, 9, 9)
    image[1, 13, 4, 4] = value
    with pytest.raises(ModelError, match=r"NaN or infinite values.*fp16"):
        all_planes(image, nn.Identity(), (8, 8, 8))


def test_the_sums_are_no_larger_than_a_row_of_windows():
    windows = Windows((100, 40, 30), (16, 16, 16), axis=0)
    assert slab_values(windows, 60, batch=4) == 60 * (16 + 1) * 40 * 30


def test_slices_are_joined_to_a_batch_but_not_where_their_sums_are_large():
    small, large = Windows((9, 64, 64), (1, 32, 32), axis=0), Windows((9, 2048, 2048), (1, 512, 512), axis=0)
    assert joined(small, 3, batch=16) == 16
    assert joined(large, 30, batch=500) == 49  # those of one slice


def test_sums_stay_in_main_memory_without_a_gpu():
    assert home(10**15, CPU) == CPU
