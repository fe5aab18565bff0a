import torch

from delineate.networks import parameters
from delineate.networks.densenet import DenseNetEncoder

FEATURES, LAYERS = (64, 256, 512, 1024, 1024), (1, 6, 12, 24, 16)


def test_densenet_121_has_the_published_number_of_parameters():
    """7 978 856 in all, of which the classifier has 1 025 000; Huang 2017, torchvision's count."""
    with torch.device("meta"):
        encoder = DenseNetEncoder(3, FEATURES, ((2, 2),) * 5, ((7, 7), *((3, 3),) * 4), LAYERS, 32, "batch")
    assert parameters(encoder) == 7_978_856 - 1_025_000


def test_each_layer_reads_all_before_it():
    encoder = DenseNetEncoder(1, (4, 10), ((1, 1), (2, 2)), ((3, 3), (3, 3)), (1, 3), 2, "none")
    widths = [layer[2].in_channels for layer in encoder.blocks[0]]
    assert widths == [4, 6, 8]
    assert [f.shape[1:] for f in encoder(torch.zeros(1, 1, 8, 8))] == [(4, 8, 8), (10, 4, 4)]
