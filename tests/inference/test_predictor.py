import pytest
import torch
from torch import nn

from delineate.errors import ModelError
from delineate.inference.predictor import Predictor

CPU = torch.device("cpu")


def predictor(*networks, outputs=2, slice_axis=None, mirror_axes=(), autocast=None):
    return Predictor(networks, outputs, slice_axis, mirror_axes, CPU, autocast)


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x):
        self.batches.append(tuple(x.shape))
        return torch.cat((x, -x), dim=1)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_logits_of_folds_are_averaged(make_network):
    first, second = make_network(1, 2, seed=1), make_network(1, 2, seed=2)
    x = noise(2, 1, 6, 6, 6)
    assert torch.allclose(predictor(first, second)(x), (first(x) + second(x)) / 2, atol=1e-6)


def test_a_single_volume_is_never_alone_in_float32_on_a_cpu():
    network = Counted()
    assert predictor(network)(noise(1, 1, 4, 4, 4)).shape == (1, 2, 4, 4, 4)
    assert network.batches == [(2, 1, 4, 4, 4)]


def test_a_single_volume_may_be_alone_in_bf16_and_a_slice_always():
    for slice_axis, autocast in ((None, torch.bfloat16), (2, None)):
        network = Counted()
        predictor(network, slice_axis=slice_axis, autocast=autocast)(noise(1, 1, 4, 4, 1))
        assert network.batches[0][0] == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_2d_networks_see_slices_and_the_answer_has_the_axis_again(axis):
    network, shape = Counted(), [2, 1, 4, 5, 6]
    shape[axis + 2] = 1
    assert predictor(network, slice_axis=axis)(noise(*shape)).shape == (2, 2, *shape[2:])
    assert len(network.batches[0]) == 4


def test_autocast_computes_in_bf16(make_network):
    assert (
        predictor(make_network(1, 2), autocast=torch.bfloat16)(noise(2, 1, 6, 6, 6)).dtype == torch.bfloat16
    )


def test_mirroring_goes_through_the_network_once_for_each_copy():
    network = Counted()
    predictor(network, mirror_axes=(0, 1, 2))(noise(2, 1, 4, 4, 4))
    assert len(network.batches) == 8


def test_another_number_of_classes_is_refused():
    with pytest.raises(ModelError, match=r"gave \(2, 2, 4, 4, 4\), expected .* \(2, 3, 4, 4, 4\)"):
        predictor(Counted(), outputs=3)(noise(2, 1, 4, 4, 4))


def test_many_small_patches_are_predicted_at_once_and_few_large_ones():
    assert predictor(Counted()).batch((32, 32, 32)) == 64
    assert predictor(Counted()).batch((256, 256, 256)) == 2
    assert predictor(Counted(), autocast=torch.bfloat16).batch((256, 256, 256)) == 1
