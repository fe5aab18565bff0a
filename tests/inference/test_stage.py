import numpy as np
import torch

from delineate.inference.predictor import Predictor
from delineate.inference.source import Source
from delineate.inference.stage import Stage
from delineate.space import Geometry

CPU = torch.device("cpu")


def stage(network, shape, patch=(8, 8, 8), slice_axis=None):
    predict = Predictor([network], 3, slice_axis, (), CPU, None)
    source = Source.of(np.zeros((1, *shape), np.float32), None, 0, patch)
    return Stage("3d_fullres", source, Geometry(shape, np.eye(4)), patch, predict, batch=2, step=0.5)


def test_rows_are_counted_before_they_run(make_network):
    done = []
    one = stage(make_network(1, 3), (24, 8, 8))
    planes = one.onto(one.geometry, 0, lambda: done.append(1))
    with torch.inference_mode():
        for number in range(24):
            planes.plane(number, slice(None))
    assert len(done) == one.layout.rows(0) == 5
