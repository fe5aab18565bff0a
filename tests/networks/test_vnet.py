import pytest
import torch

from delineate.networks import VNet, parameters

WIDTHS, BLOCKS = (16, 32, 64, 128, 256), (1, 1, 2, 3, 2)  # as in the code that MONAI follows


def solid(norm="batch", widths=WIDTHS, blocks=BLOCKS, up=(1, 1, 2, 2), inputs=1):
    strides = ((1, 1, 1), *((2, 2, 2),) * (len(widths) - 1))
    return VNet(inputs, 2, widths, strides, ((5, 5, 5),) * len(widths), blocks, up, norm)


def test_a_patch_of_128_128_64_keeps_its_size():
    with torch.device("meta"):
        network = solid("none", blocks=(1, 2, 3, 3, 3), up=(1, 2, 3, 3))
        assert network(torch.zeros(1, 1, 128, 128, 64)).shape == (1, 2, 128, 128, 64)


@pytest.mark.filterwarnings("ignore")
def test_it_has_the_convolutions_of_monais():
    nets = pytest.importorskip("monai.networks.nets")
    with torch.device("meta"):
        theirs = nets.VNet(spatial_dims=3, in_channels=1, out_channels=2)
        ours = solid()

    def weights(network):
        return sum(p.numel() for p in network.parameters() if p.ndim > 1)

    assert weights(ours) - weights(ours.head) == weights(theirs) - weights(theirs.out_tr)


def test_a_stage_without_convolution_weights_gives_its_input():
    network = solid("none", widths=(4, 8), blocks=(1, 1), up=(1,), inputs=3)
    stage = network.encoder[0]
    for parameter in stage.convs.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 3, 4, 4, 4)
    assert torch.equal(stage(x), x[:, [0, 1, 2, 0]]), "the channels repeated"


def test_its_parameters_are_as_counted():
    network = solid("none", widths=(4, 8), blocks=(1, 2), up=(1,))
    enter = 125 * 4 + 4 + 4
    below = (8 * 4 * 8 + 8 + 8) + 2 * (125 * 64 + 8 + 8) + 8
    rising = (8 * 8 * 4 + 4 + 4) + (125 * 64 + 8 + 8) + 8
    assert parameters(network) == enter + below + rising + 8 * 2 + 2
