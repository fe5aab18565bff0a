import numpy as np
import pytest
import torch
from torch import nn

from delineate.inference import Segmenter
from delineate.inference.predictor import Predictor
from delineate.inference.repeats import Repeats, uniform
from delineate.inference.source import Source
from delineate.networks import build_network
from delineate.space import Volume

CPU = torch.device("cpu")
PATCH = (8, 8, 8)


def around(array):
    return Source.of(array.astype(np.float32), None, 0, PATCH)


class Counting(nn.Module):
    """A network that counts the windows that it saw."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, 0

    def forward(self, x):
        self.seen += len(x)
        return self.network(x)


@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 7, 7, 7), (1, 3, 4, 2), (0, 7, 0, 6)])
def test_one_other_voxel_anywhere_is_seen(place):
    window = torch.tensor([2.0, -1.0]).reshape(2, 1, 1, 1).expand(2, 8, 8, 8).clone()
    assert uniform(window) == (2.0, -1.0)
    window[place] += 1e-6
    assert uniform(window) is None


def test_nan_is_never_the_same():
    assert uniform(torch.full((1, 2, 2, 2), torch.nan)) is None


def test_the_value_of_most_windows_is_looked_for():
    array = np.zeros((1, 40, 8, 8))
    array[:, 24:] = 5
    corners = [(n, 0, 0) for n in range(0, 33, 4)]
    repeats = Repeats.among(around(array), corners, PATCH)
    predict = Predictor([nn.Identity()], 1, None, (), CPU, None)
    windows = [torch.from_numpy(array[:, n : n + 8]).float() for n, _, _ in corners]
    logits = repeats.predicted(windows, predict, CPU)
    assert repeats.used == 4  # of five that hold zeros; fives are fewer, and are predicted
    assert all(torch.equal(x, y) for x, y in zip(windows, logits, strict=True))


def test_a_value_that_comes_once_is_not_kept():
    repeats = Repeats.among(around(np.zeros((1, 8, 8, 8))), [(0, 0, 0)], PATCH)
    assert repeats.predicted([torch.zeros(1, 8, 8, 8)], lambda x: x, CPU)[0].shape == (1, 8, 8, 8)
    assert repeats.used == 0


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_labels_and_probabilities_are_the_same_to_the_bit(batch, mirror, make_plan, make_scan, monkeypatch):
    """Half of the scan is one value, as air that was clipped. Large batches may round otherwise."""
    plan = make_plan()
    network = Counting(build_network(plan.configuration("3d_fullres").network, 1, 3).eval())
    scan = make_scan((32, 18, 17))
    array = scan.array.copy()
    array[:, :20] = -1
    scan = Volume(array, scan.geometry, scan.channels)
    segmenter = Segmenter(plan, {"3d_fullres": [network]}, precision="fp32", batch=batch, mirror=mirror)
    ours = segmenter.segment(scan, probabilities=True)
    fewer, network.seen = network.seen, 0
    monkeypatch.setattr(Repeats, "among", lambda *_: Repeats.none())
    theirs = segmenter.segment(scan, probabilities=True)
    assert fewer < 0.8 * network.seen
    assert np.array_equal(ours.probabilities.array, theirs.probabilities.array)
    assert np.array_equal(ours.labels.array, theirs.labels.array)
