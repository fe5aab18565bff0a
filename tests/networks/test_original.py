import pytest
import torch

from delineate.networks import OriginalUNet, UNet3d, parameters
from delineate.networks.original import mirrored_beyond

FLAT = (((1, 1), *((2, 2),) * 4), ((3, 3),) * 5)
SOLID = (((1, 1, 1), *((2, 2, 2),) * 3), ((3, 3, 3),) * 4)


def original(features, *, padded=False, inputs=1, outputs=2):
    return OriginalUNet(inputs, outputs, features, *FLAT, padded=padded)


def test_572_pixels_become_388_as_in_the_paper():
    with torch.device("meta"):
        network = original((64, 128, 256, 512, 1024))
        assert network.inside(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    assert network.path.needed(388, 0) == (572, 388)


def test_it_has_the_parameters_of_the_paper_valid_or_padded():
    with torch.device("meta"):
        counts = {parameters(original((64, 128, 256, 512, 1024), padded=p, outputs=3)) for p in (False, True)}
    assert counts == {31_030_723}  # of two classes 31 030 658


def test_132_voxels_become_44_and_the_3d_u_net_has_19_069_955_parameters():
    with torch.device("meta"):
        network = UNet3d(3, 3, (64, 128, 256, 512), *SOLID, norm="none", padded=False)
        inside = network.eval().inside(torch.zeros(1, 3, 132, 132, 116))
    assert inside.shape == (1, 3, 44, 44, 28)
    biases = sum(up.bias.numel() for up in network.path.ups)  # the paper counts neither these nor norms
    assert parameters(network) - biases == 19_069_955


@pytest.mark.parametrize("edges", [(1, 1), (17, 40), (52, 21)])
def test_a_valid_network_gives_logits_for_every_pixel_of_any_image(edges):
    network = original((2, 3, 4, 5, 6)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, *edges)).shape == (1, 2, *edges)


def test_far_from_the_border_mirroring_changes_nothing():
    network = original((2, 3, 4, 5, 6)).eval()
    image = torch.randn(1, 1, 220, 220, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, inside = network(image), network.inside(image[..., 4:208, 4:208])
    assert inside.shape[-1] == 204 - 184
    begin = 4 + 92  # the first pixel seen wholly; 4 + 92 is a multiple of 16, so pools meet
    found = whole[..., begin : begin + 20, begin : begin + 20]
    assert found.shape == inside.shape


def test_the_receptive_field_is_the_computed_one():
    """Two stages, means in place of pools (a largest value passes one voxel only).

    An output needs 5 voxels of what was upsampled, which 3 of the bottleneck gave; each needs 2 more to
    either side there, all of these two voxels each above, and 2 more to either side of those.
    """
    network = OriginalUNet(1, 1, (2, 2), ((1, 1), (2, 2)), ((3, 3), (3, 3)))
    network.path.pools[0] = torch.nn.AvgPool2d(2)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1.0, generator=torch.Generator().manual_seed(0))
    image = torch.rand(1, 1, 40, 40, dtype=torch.float64).requires_grad_()
    logits = network.double().eval().inside(image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    seen = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    upsampled = 5
    below = upsampled // 2 + 1  # 5 voxels in a row touch 3 pairs
    assert int(seen[-1] - seen[0]) + 1 == 2 * (below + 4) + 4


def test_mirroring_repeats_where_the_image_is_smaller_than_what_is_lost():
    x = torch.arange(3.0).view(1, 1, 3)
    assert mirrored_beyond(x, 2, 5, 4).flatten().tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]
    assert mirrored_beyond(x[..., :1], 2, 2, 1).flatten().tolist() == [0, 0, 0, 0]
