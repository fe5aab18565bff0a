"""Parts: what of a network is its encoder."""

import pytest
from torch import nn

from delineate.errors import PlanError
from delineate.networks import blueprint
from delineate.networks.parts import encoder_of, in_encoder
from delineate.planning.architectures import ARCHITECTURES


@pytest.mark.parametrize("name", ["unet3d", "deeplabv3plus", "densenet_unet", "mednext_s", "fcn8s", "vnet"])
def test_every_network_has_an_encoder_that_is_not_all_of_it(name):
    family = ARCHITECTURES[name]
    network = blueprint(family.network(family.shape((1.0, 1.0, 1.0), (16, 16, 24)), 4), 1, 2)
    names = [name for name, _ in network.named_parameters()]
    inside = [name for name in names if in_encoder(name)]
    assert 0 < len(inside) < len(names)
    assert not [name for name in inside if "decoder" in name or "head" in name or "ups" in name]
    assert in_encoder(names[0])


def test_networks_of_other_hands_have_one_too():
    assert in_encoder("network.swinViT.layers1.0.weight")
    assert in_encoder("network.encoder1.layer.conv1.weight")
    assert not in_encoder("network.decoder5.conv.weight")


def test_a_network_whose_encoder_is_not_known_is_refused():
    with pytest.raises(PlanError, match="Sequential has no part called encoder, stem"):
        encoder_of(nn.Sequential(nn.Conv2d(1, 1, 1)))
