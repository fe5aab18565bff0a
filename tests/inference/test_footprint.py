import pytest
import torch
from torch import nn

from delineate.inference.footprint import VALUES, forward_bytes, weightless
from delineate.inference.predictor import FEATURES, Predictor
from delineate.networks import build_network

CPU, BF16 = torch.device("cpu"), torch.bfloat16


def predictor(networks, outputs=3, mirror_axes=(), autocast=None, device=CPU):
    return Predictor(networks, outputs, None, mirror_axes, device, autocast)


def test_what_is_alive_at_once_is_counted():
    """Two convolutions of one channel: input, output, and a copy of each in the order of the library."""
    network = nn.Sequential(nn.Conv3d(1, 1, 3, padding=1), nn.Conv3d(1, 1, 3, padding=1))
    one = 4 * 16**3
    assert forward_bytes(predictor([network], 1), (1, 1, 16, 16, 16))[0] == 5 * one


@pytest.mark.parametrize("edge", [16, 32])
def test_it_grows_with_the_patch_and_bf16_takes_half(edge, configuration):
    networks = [build_network(configuration().network, 1, 3)]
    small, weights = forward_bytes(predictor(networks), (1, 1, 16, 16, 16))
    here, _ = forward_bytes(predictor(networks), (1, 1, edge, edge, edge))
    assert here == pytest.approx(small * (edge / 16) ** 3, rel=0.01)
    half, _ = forward_bytes(predictor(networks, autocast=BF16), (1, 1, edge, edge, edge))
    assert half == here // 2
    assert weights == 2 * sum(p.numel() for p in networks[0].parameters())


def test_means_over_mirrored_copies_are_counted(configuration):
    networks = [build_network(configuration().network, 1, 3)]
    plain, _ = forward_bytes(predictor(networks, autocast=BF16), (1, 1, 16, 16, 16))
    mirrored, _ = forward_bytes(predictor(networks, mirror_axes=(0, 1), autocast=BF16), (1, 1, 16, 16, 16))
    assert mirrored - plain >= 8 * 3 * 16**3


def test_of_another_engine_the_most_is_assumed():
    def engine(patches):
        return patches

    assert forward_bytes(predictor([engine]), (1, 1, 8, 8, 8)) == (4 * VALUES * FEATURES * 8**3, 0)


def test_what_a_gpu_takes_is_no_main_memory(configuration):
    networks = [build_network(configuration().network, 1, 3)]
    assert forward_bytes(predictor(networks, device=torch.device("cuda")), (1, 1, 8, 8, 8)) == (0, 0)


def test_the_network_itself_keeps_its_weights(configuration):
    network = build_network(configuration().network, 1, 3)
    assert {p.device.type for p in weightless(network).parameters()} == {"meta"}
    assert {p.device.type for p in network.parameters()} == {"cpu"}
