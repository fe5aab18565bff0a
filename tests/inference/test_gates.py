"""Gates of an Attention U-Net as volumes: on the scan's grid, between 0 and 1, the mean of windows."""

import numpy as np
import pytest
import torch

from delineate.errors import ModelError
from delineate.inference import Segmenter
from delineate.inference.gates import gate_maps
from delineate.networks import build_network
from delineate.planning.plan import NetworkSpec


def _spec(dims):
    return NetworkSpec(
        kind="attention_unet",
        features=(4, 8, 8),
        strides=((1,) * dims, (2,) * dims, (2,) * dims),
        kernels=((3,) * dims,) * 3,
        encoder_blocks=(1, 1, 1),
        decoder_blocks=(1, 1),
    )


@pytest.fixture
def gated(make_plan, configuration):
    def make(**how):
        configurations = {
            "3d_fullres": configuration(**how).but(network=_spec(2 if "slice_axis" in how else 3))
        }
        plan = make_plan(configurations)
        spec = plan.configuration().network
        networks = [build_network(spec, 1, 3, seed=seed).eval() for seed in (1, 2)]
        return Segmenter(plan, {"3d_fullres": networks}, precision="fp32")

    return make


def test_one_window_shows_the_mean_of_the_gates_of_all_folds(gated, make_scan):
    segmenter, scan = gated(), make_scan((8, 8, 8))
    ready = segmenter.ready(scan)
    found = gate_maps(segmenter, ready)
    image = torch.from_numpy(ready.prepared["3d_fullres"].array)[None]
    folds = [torch.cat(net.gates(image), dim=1)[0] for net in segmenter.networks["3d_fullres"]]
    assert np.allclose(found.array, torch.stack(folds).mean(0).numpy(), atol=1e-5)
    assert found.channels == ("gate 1", "gate 2")
    assert found.geometry.same_place(scan.geometry)


def test_many_windows_stay_between_0_and_1_on_the_scans_grid(gated, make_scan):
    segmenter, scan = gated(), make_scan((20, 13, 17), spacing=(1.0, 2.0, 1.5))
    found = gate_maps(segmenter, segmenter.ready(scan))
    assert found.array.shape == (2, 20, 13, 17)
    assert found.array.min() > 0
    assert found.array.max() < 1
    assert not segmenter.networks["3d_fullres"][0].training


def test_slices_have_gates_too(gated, make_scan):
    segmenter, scan = gated(patch=(8, 8, 1), slice_axis=2), make_scan((16, 16, 3))
    assert gate_maps(segmenter, segmenter.ready(scan)).array.shape == (2, 16, 16, 3)


def test_a_network_without_gates_says_which_has_them(make_plan, make_scan):
    plan = make_plan()
    network = build_network(plan.configuration().network, 1, 3).eval()
    segmenter = Segmenter(plan, {"3d_fullres": [network]})
    with pytest.raises(ModelError, match="3d_fullres of this model is a unet: only an attention_unet"):
        gate_maps(segmenter, segmenter.ready(make_scan()))


def test_a_scan_that_is_only_looked_at_in_part_has_no_maps(gated, make_scan):
    segmenter = gated()
    ready = Segmenter(segmenter.plan, segmenter.networks, fast=True).ready(make_scan())
    with pytest.raises(ModelError, match="gates are shown of a whole scan: leave out --fast"):
        gate_maps(segmenter, ready)
