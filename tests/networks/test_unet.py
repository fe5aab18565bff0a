"""The networks equal the peer's: same number of parameters, same numbers out of the same weights.

Reference values: dynamic-network-architectures 0.4.4 with every parameter set by `waves`.
"""

import numpy as np
import pytest
import torch

from delineate.errors import PlanError
from delineate.networks import ResidualUNet, UNet, parameters

ISOTROPIC = ((1, 1, 1), *((2, 2, 2),) * 5)
CUBES = ((3, 3, 3),) * 6
WIDE = (32, 64, 128, 256, 320, 320)


def counted(kind, *arguments):
    with torch.device("meta"):
        return parameters(kind(*arguments))


def test_a_default_network_for_128_cubed_has_the_peers_parameters():
    count = counted(UNet, 1, 25, WIDE, ISOTROPIC, CUBES, (2,) * 6, (2,) * 5)
    assert count == 31_214_109


def test_an_anisotropic_network_has_the_peers_parameters():
    strides = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    kernels = ((1, 3, 3), *CUBES[1:])
    assert counted(UNet, 2, 3, WIDE, strides, kernels, (2,) * 6, (2,) * 5) == 30_704_591


def test_a_2d_network_of_eight_stages_has_the_peers_parameters():
    features = (32, 64, 128, 256, 512, 512, 512, 512)
    strides, kernels = ((1, 1), *((2, 2),) * 7), ((3, 3),) * 8
    assert counted(UNet, 1, 3, features, strides, kernels, (2,) * 8, (2,) * 7) == 46_326_581


def test_residual_encoder_l_has_the_peers_parameters():
    count = counted(ResidualUNet, 1, 3, WIDE, ISOTROPIC, CUBES, (1, 3, 4, 6, 6, 6), (1,) * 5)
    assert count == 102_350_575


def test_a_2d_residual_encoder_has_the_peers_parameters():
    features = (32, 64, 128, 256, 512, 512, 512)
    strides, kernels = ((1, 1), *((2, 2),) * 6), ((3, 3),) * 7
    count = counted(ResidualUNet, 3, 2, features, strides, kernels, (1, 3, 4, 6, 6, 6, 6), (1,) * 6)
    assert count == 105_917_388


def waves(network):
    for parameter in network.parameters():
        values = 0.3 * torch.sin(torch.arange(parameter.numel(), dtype=torch.float64))
        parameter.data = values.float().reshape(parameter.shape)
    return network


def ripples(*shape):
    return torch.cos(torch.arange(np.prod(shape), dtype=torch.float64) ** 1.5).float().reshape(shape)


STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2))
KERNELS = ((1, 3, 3), (3, 3, 3), (3, 3, 3))
PEER = {
    "plain": (
        lambda: UNet(2, 3, (4, 8, 12), STRIDES, KERNELS, (2, 2, 2), (2, 2)),
        (2, 2, 8, 16, 16),
        (2, 3, 8, 16, 16),
        [0.06635, 0.22562, 0.21091, 0.15692, 0.22365, 0.26059],
        [0.184991, 0.180611],
    ),
    "residual": (
        lambda: ResidualUNet(2, 3, (4, 8, 8), STRIDES, KERNELS, (1, 3, 2), (1, 1)),
        (2, 2, 8, 16, 16),
        (2, 3, 8, 16, 16),
        [0.14685, 0.19819, 0.21735, 0.13934, 0.19861, 0.2668],
        [0.184794, 0.178789],
    ),
    "residual 2D": (
        lambda: ResidualUNet(
            1, 2, (4, 8, 8), ((1, 1), (2, 2), (2, 2)), ((3, 3),) * 3, (1, 2, 2), (1, 1)
        ),
        (2, 1, 16, 24),
        (2, 2, 16, 24),
        [0.1594, 0.17165, 0.15105, 0.14109, 0.14912, 0.15726],
        [0.154769, 0.224463],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PEER)
def test_the_same_weights_give_the_peers_logits(name):
    make, given, shape, some, magnitudes = PEER[name]
    network = waves(make()).train()
    with torch.inference_mode():
        logits = network(ripples(*given))
    flat = logits[0].double().flatten()
    assert logits[0].shape == shape
    assert np.allclose(flat[:: len(flat) // 5][:6].numpy(), some, atol=2e-5)
    assert [float(level.double().abs().mean()) for level in logits] == pytest.approx(magnitudes, abs=2e-6)


def small(**changes):
    arguments = {"deep_supervision": True} | changes
    return UNet(1, 3, (4, 6, 8), ((1, 1), (2, 2), (2, 2)), ((3, 3),) * 3, (1, 1, 1), (1, 1), **arguments)


def test_training_with_deep_supervision_gives_logits_from_finest_to_coarsest():
    logits = small().train()(torch.zeros(2, 1, 16, 24))
    assert [tuple(level.shape) for level in logits] == [(2, 3, 16, 24), (2, 3, 8, 12)]


def test_evaluation_gives_the_finest_logits_only():
    network, image = small(), ripples(2, 1, 16, 24)
    assert torch.equal(network.eval()(image), network.train()(image)[0])


def test_without_deep_supervision_there_is_one_head():
    network = small(deep_supervision=False)
    assert len(network.decoder.heads) == 1
    assert network.train()(torch.zeros(2, 1, 16, 24)).shape == (2, 3, 16, 24)


def test_every_parameter_learns():
    network = small()
    sum(level.square().mean() for level in network(ripples(2, 1, 16, 24))).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_an_image_that_the_strides_do_not_divide_is_refused():
    with pytest.raises(PlanError, match=r"16 x 18 voxels does not fit.*multiple of 4 x 4"):
        small()(torch.zeros(2, 1, 16, 18))


def test_an_image_that_ends_as_one_voxel_is_refused():
    with pytest.raises(PlanError, match="4 x 4 voxels is a single voxel at the bottleneck"):
        small()(torch.zeros(2, 1, 4, 4))


def test_a_volume_is_refused_by_a_2d_network():
    with pytest.raises(PlanError, match="2 spatial axes, got 3: 8 x 8 x 8"):
        small()(torch.zeros(2, 1, 8, 8, 8))
