"""Statistics of a scan reach batch norms, also where networks are taken apart because classes are many."""

import numpy as np
import pytest
import torch

from delineate.inference import Segmenter
from delineate.inference.adapt import norms_of, with_statistics
from delineate.inference.head import split
from delineate.networks import build_network
from delineate.planning.architectures import ARCHITECTURES
from delineate.space import LabelSchema


@pytest.mark.parametrize("classes", [2, 30])
def test_all_norms_see_the_scan_whether_or_not_the_head_is_apart(
    classes, make_plan, configuration, make_scan
):
    preset = ARCHITECTURES["resnet_unet"]
    spec = preset.network(preset.shape((1.0,) * 3, (16, 16, 16)), 2 if classes > 20 else 8).but(norm="batch")
    names = LabelSchema.of(*(f"structure {n}" for n in range(classes)))
    plan = make_plan({"3d_fullres": configuration(patch=(16, 16, 16)).but(network=spec)}, labels=names)
    network = build_network(spec, 1, classes + 1).eval()
    assert (split([network], classes + 1)[1] is not None) == (classes == 30)
    segmenter = Segmenter(plan, {"3d_fullres": [network]}, precision="fp32")
    ready = segmenter.ready(make_scan((20, 16, 16)))
    plain = segmenter.labelled(ready, probabilities=True).probabilities.array
    before = [norm.running_mean.clone() for norm in norms_of(segmenter)]
    mixed = with_statistics(segmenter, ready, 0.5, probabilities=True).probabilities.array
    assert not np.allclose(plain, mixed, atol=1e-4)
    assert all(torch.equal(a, n.running_mean) for a, n in zip(before, norms_of(segmenter), strict=True))
