import pytest
import torch
from torch import nn

from delineate.networks import build_network, seed_spec
from delineate.networks.split import Trunks, last_layer, without_last_layer
from delineate.planning.plan import NetworkSpec

SPLIT = ["unet", "residual_unet", "attention_unet", "resnet_unet", "densenet_unet", "mednext"]
OWN = {
    "densenet_unet": {"growth": 2, "norm": "instance", "features": (4, 6, 5)},
    "resnet_unet": {"bottleneck": False, "norm": "instance"},
    "mednext": {"expansion": (2, 2, 2, 2, 2)},
}


def built(kind, dims, outputs=5):
    fields = {
        "kind": kind,
        "features": (4, 6, 8),
        "strides": ((1,) * dims, *((2,) * dims,) * 2),
        "kernels": ((3,) * dims,) * 3,
        "encoder_blocks": (1, 1, 1),
        "decoder_blocks": (1, 1),
    }
    spec = NetworkSpec.model_validate(fields | OWN.get(kind, {}))
    return build_network(spec, 1, outputs, seed=3).eval()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", SPLIT)
def test_the_last_layer_after_the_rest_is_the_network(kind, dims):
    network = built(kind, dims)
    image = torch.randn(2, 1, *(32,) * dims)
    with torch.no_grad():
        features = without_last_layer(network)(image)
        assert torch.equal(last_layer(network)(features), network(image))


def test_the_weights_are_shared_and_the_network_stays_whole():
    network = built("unet", 3)
    before = len(list(network.parameters()))
    trunk = without_last_layer(network)
    assert {id(p) for p in trunk.parameters()} < {id(p) for p in network.parameters()}
    assert len(list(network.parameters())) == before
    assert last_layer(network).out_channels == 5


def test_networks_side_by_side_give_the_features_of_each():
    networks = [built("unet", 2), built("residual_unet", 2)]
    image = torch.randn(1, 1, 16, 16)
    trunks = Trunks([without_last_layer(network) for network in networks]).eval()
    with torch.no_grad():
        features = trunks(image)
        assert torch.equal(last_layer(networks[1])(features[:, 4:]), networks[1](image))


@pytest.mark.parametrize("network", [nn.Identity(), build_network(seed_spec("seed_unet2d"), 1, 3)])
def test_of_other_networks_nothing_is_known(network):
    assert last_layer(network) is None
