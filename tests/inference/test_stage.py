import numpy as np
import pytest
import torch

from delineate.inference.predictor import Predictor
from delineate.inference.source import Source
from delineate.inference.stage import Stage, best_axis
from delineate.space import Geometry

CPU = torch.device("cpu")


def stage(network, shape, patch=(8, 8, 8), slice_axis=None):
    predict = Predictor([network], 3, slice_axis, (), CPU, None)
    source = Source.of(np.zeros((1, *shape), np.float32), None, 0, patch)
    return Stage("3d_fullres", source, Geometry(shape, np.eye(4)), patch, predict, batch=2, step=0.5)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((40, 16, 16), 0), ((16, 40, 16), 1), ((16, 16, 40), 2), ((16, 17, 18), 0), ((4, 4, 4), 0)],
)
def test_rows_run_across_the_axis_that_takes_least_memory(shape, axis, make_network):
    assert best_axis([stage(make_network(1, 3), shape)], Geometry(shape, np.eye(4))) == axis


def test_slices_are_taken_one_after_the_other(make_network):
    slices = stage(make_network(1, 3, dims=2), (32, 32, 32), (32, 32, 1), slice_axis=2)
    volume = stage(make_network(1, 3), (32, 32, 32), (32, 32, 32))
    assert best_axis([slices], slices.geometry) == 2
    assert best_axis([slices, volume], slices.geometry) == 2


def test_rows_are_counted_before_they_run(make_network):
    done = []
    one = stage(make_network(1, 3), (24, 8, 8))
    planes = one.onto(one.geometry, 0, lambda: done.append(1))
    with torch.inference_mode():
        for number in range(24):
            planes.plane(number, slice(None))
    assert len(done) == one.rows(0) == 5
