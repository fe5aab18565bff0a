import pytest
import torch
from torch import nn

from delineate.errors import PlanError
from delineate.networks import build_network, parameters
from delineate.networks.slim import narrower, slimmed, top
from delineate.planning.plan import NetworkSpec


def spec_of(kind, dims, features=(4, 8, 8), blocks=2, supervised=True):
    n = len(features)
    return NetworkSpec(
        kind=kind,
        features=features,
        strides=((1,) * dims, *((2,) * dims,) * (n - 1)),
        kernels=((3,) * dims,) * n,
        encoder_blocks=(blocks,) * n,
        decoder_blocks=(blocks,) * (n - 1),
        deep_supervision=supervised,
    )


def stirred(network):
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return network.requires_grad_(False)


def half_silent(network):
    """Every second channel of every norm is nothing, and so is that of every upsampling."""
    for module in network.modules():
        if isinstance(module, (nn.InstanceNorm2d, nn.InstanceNorm3d)):
            module.weight[::2] = 0
            module.bias[::2] = 0
        elif isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
            module.weight[:, ::2] = 0
            module.bias[::2] = 0
    return network


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", ["unet", "residual_unet"])
def test_without_channels_that_say_nothing_the_answer_is_the_same(kind, dims, supervised):
    spec = spec_of(kind, dims, supervised=supervised)
    network = half_silent(stirred(build_network(spec, 2, 3, seed=1))).eval()
    lean, narrow = slimmed(network, spec, 0.5)
    assert narrow.features == (2, 4, 4)
    assert parameters(lean) < 0.4 * parameters(network)
    image = torch.randn((2, 2, *(16,) * dims), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(lean(image), network(image), atol=1e-4)
    if supervised:
        for ours, theirs in zip(lean.train()(image), network.train()(image), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_wide_stages_keep_a_multiple_of_eight():
    spec = spec_of("unet", 3, features=(32, 64, 320))
    assert narrower(spec, 0.7).features == (24, 48, 224)
    assert narrower(spec, 0.01).features == (8, 8, 8)


def test_the_largest_are_kept_in_their_order():
    assert top(torch.tensor([1.0, 5.0, 2.0, 5.0]), 3).tolist() == [1, 2, 3]


def test_what_cannot_be_pruned_is_refused():
    with pytest.raises(PlanError, match="lies between 0 and 1, got 1"):
        narrower(spec_of("unet", 3), 1.0)
    with pytest.raises(PlanError, match=r"only the planned U-Nets .* got attention_unet"):
        narrower(spec_of("attention_unet", 3), 0.5)
    with pytest.raises(PlanError, match="expected a planned U-Net, got Conv3d"):
        slimmed(nn.Conv3d(1, 1, 1), spec_of("unet", 3), 0.5)
