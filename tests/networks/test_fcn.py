import pytest
import torch
from torch.nn import functional

from delineate.networks import FCN8s, parameters
from delineate.networks.fcn import BilinearUp

VGG = (64, 128, 256, 512, 512, 4096)
STRIDES = ((1, 1), *((2, 2),) * 5)
KERNELS = (*((3, 3),) * 5, (7, 7))


def test_it_is_vgg16_with_scores_at_three_strides():
    """VGG16's 14 714 688 convolutions, fc6 and fc7, scores of 4096, 512 and 256 channels, x2, x2, x8."""
    with torch.device("meta"):
        network = FCN8s(3, 21, VGG, STRIDES, KERNELS, (2, 2, 3, 3, 3, 2), "none")
    fc = (512 * 49 * 4096 + 4096) + (4096 * 4096 + 4096)
    scores = 21 * (4096 + 512 + 256) + 3 * 21
    ups = 21 * 21 * (16 + 16 + 256)
    assert parameters(network) == 14_714_688 + fc + scores + ups


@pytest.mark.parametrize("stride", [(2, 2), (8, 8), (1, 2), (2, 2, 1), (3, 2)])
def test_upsampling_starts_as_linear_interpolation(stride):
    up = BilinearUp(2, stride)
    up.start()
    x = torch.rand(1, 2, *(6,) * len(stride), generator=torch.Generator().manual_seed(0))
    edges = tuple(6 * s for s in stride)
    mode = {2: "bilinear", 3: "trilinear"}[len(stride)]
    expected = functional.interpolate(x, size=edges, mode=mode)
    inner = tuple(slice(s, e - s) for s, e in zip(stride, edges, strict=True))
    with torch.no_grad():
        torch.testing.assert_close(up(x, edges)[..., *inner], expected[..., *inner])


@pytest.mark.parametrize("edges", [(33, 47), (32, 64), (1, 35), (65, 33)])
def test_logits_have_the_size_of_any_image(edges):
    network = FCN8s(1, 2, (2, 2, 3, 3, 3, 4), STRIDES, KERNELS, (1, 1, 1, 1, 1, 2), "none").eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *edges)).shape == (1, 2, *edges)
