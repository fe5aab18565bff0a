import pytest
import torch

from delineate.networks import parameters
from delineate.networks.resnet import ResNetEncoder

STRIDES = ((2, 2),) * 5
KERNELS = ((7, 7), *((3, 3),) * 4)
WIDE, NARROW = (64, 256, 512, 1024, 2048), (64, 64, 128, 256, 512)
PUBLISHED = {  # torchvision's counts without the classifier of 1000 classes; He 2016
    18: (NARROW, (1, 2, 2, 2, 2), False, 11_689_512 - 513_000),
    34: (NARROW, (1, 3, 4, 6, 3), False, 21_797_672 - 513_000),
    50: (WIDE, (1, 3, 4, 6, 3), True, 25_557_032 - 2_049_000),
    101: (WIDE, (1, 3, 4, 23, 3), True, 44_549_160 - 2_049_000),
}


@pytest.mark.parametrize("layers", PUBLISHED)
def test_the_encoders_have_the_published_numbers_of_parameters(layers):
    features, blocks, bottleneck, count = PUBLISHED[layers]
    with torch.device("meta"):
        encoder = ResNetEncoder(3, features, STRIDES, KERNELS, blocks, bottleneck, "batch")
    assert parameters(encoder) == count


def test_each_stage_halves_the_image():
    encoder = ResNetEncoder(1, (2, 4, 4, 4, 4), STRIDES, KERNELS, (1, 1, 1, 1, 1), True, "instance")
    assert [f.shape[2] for f in encoder(torch.zeros(1, 1, 64, 64))] == [32, 16, 8, 4, 2]
