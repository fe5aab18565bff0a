import pytest
import torch

from delineate.networks import DeepLabV3Plus, parameters
from delineate.networks.deeplab import Pyramid

STRIDES = (*((2, 2),) * 4, (1, 1))
KERNELS = ((7, 7), *((3, 3),) * 4)


def branch_field(branch, size=64):
    """Pixels along the first axis that one output of a branch depends on, first, step and last."""
    for parameter in branch.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    image = torch.ones(1, 2, size, size, requires_grad=True)
    branch(image)[0, 0, size // 2, size // 2].backward()
    seen = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    return seen.tolist()


@pytest.mark.parametrize("rate", [6, 12, 18])
def test_a_branch_of_the_pyramid_looks_a_rate_to_either_side(rate):
    pyramid = Pyramid(2, 4, (3, 3), (rate,), "none")
    assert branch_field(pyramid.branches[1]) == [32 - rate, 32, 32 + rate]
    assert branch_field(pyramid.branches[0]) == [32]


def test_the_pyramid_sees_the_whole_image_through_its_mean():
    pyramid = Pyramid(1, 2, (3, 3), (2,), "none")
    for parameter in pyramid.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    image = torch.ones(1, 1, 40, 40, requires_grad=True)
    pyramid(image)[0, 0, 20, 20].backward()
    assert bool((image.grad != 0).all())


def test_with_resnet_101_it_has_the_papers_widths_and_parameters():
    """Encoder of 42 500 160; pyramid of 256 channels at 1, 6, 12 and 18 and the mean; 48 from below."""
    with torch.device("meta"):
        network = DeepLabV3Plus(
            3, 21, (64, 256, 512, 1024, 2048), STRIDES, KERNELS, (1, 3, 4, 23, 3),
            bottleneck=True, norm="batch",
        )  # fmt: skip
    wide, norm = 256, 2 * 256
    pyramid = 2048 * wide + norm + 3 * (9 * 2048 * wide + norm) + 2048 * wide + wide + 5 * wide * wide + norm
    decoder = 256 * 48 + 96 + 9 * 304 * wide + norm + 9 * wide * wide + norm + wide * 21 + 21
    assert parameters(network.encoder) == 44_549_160 - 2_049_000
    assert parameters(network) == 42_500_160 + pyramid + decoder


def test_the_encoder_stops_at_a_sixteenth_and_the_last_stage_is_dilated():
    network = DeepLabV3Plus(1, 2, (2, 2, 4, 4, 4), STRIDES, KERNELS, (1, 1, 1, 1, 1), rates=(1,))
    assert [f.shape[-1] for f in network.encoder(torch.zeros(2, 1, 64, 64))] == [32, 16, 8, 4, 4]
    assert network.encoder.stages[-1][0].body[3].dilation == (2, 2)


@pytest.mark.parametrize("edges", [(33, 47), (50, 64)])
def test_logits_have_the_size_of_any_image(edges):
    network = DeepLabV3Plus(1, 3, (2, 2, 4, 4, 4), STRIDES, KERNELS, (1, 1, 1, 1, 1), rates=(1, 2)).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *edges)).shape == (1, 3, *edges)
