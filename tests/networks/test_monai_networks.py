import sys

import pytest
import torch

from delineate.errors import PlanError
from delineate.networks import blueprint, build_network, parameters
from delineate.planning.architectures import ARCHITECTURES

pytest.importorskip("monai")


def spec_of(name, edge, dims=3, width=32):
    preset = ARCHITECTURES[name]
    return preset.network(preset.shape((1.0,) * dims, (edge,) * dims), width)


def test_swinunetr_has_the_62_2_million_parameters_of_the_paper():
    """Hatamizadeh 2022, feature size 48: 62.19 M with 14 classes and one channel."""
    network = build_network(spec_of("swinunetr", 64), 1, 14)
    assert parameters(network) / 1e6 == pytest.approx(62.19, abs=0.01)


def test_unetr_has_the_92_58_million_parameters_of_the_paper():
    """Hatamizadeh 2022, Table 4: 92.58 M with ViT-B; MONAI's count at 96 voxels, 14 classes."""
    assert parameters(blueprint(spec_of("unetr", 96), 1, 14)) / 1e6 == pytest.approx(92.78, abs=0.3)


def test_unetr_refuses_another_image_than_the_one_it_was_made_for():
    network = build_network(spec_of("unetr", 32, dims=2, width=8), 1, 2)
    with pytest.raises(
        PlanError, match=r"learnt the places of \[32, 32\] voxels, got an image of \[64, 32\]"
    ):
        network(torch.zeros(1, 1, 64, 32))


def test_an_edge_that_does_not_fit_is_refused():
    network = build_network(spec_of("segresnet", 32, dims=2, width=8), 1, 2)
    with pytest.raises(PlanError, match="multiple of 8 x 8"):
        network(torch.zeros(1, 1, 20, 20))


def test_without_monai_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(PlanError, match=r"segresnet is made by MONAI.*pip install 'delineate\[monai\]'"):
        build_network(spec_of("segresnet", 32, dims=2, width=8), 1, 2)
