import torch
from torch import nn
from torch.nn import functional

from delineate.networks import SegNet, parameters
from delineate.networks.segnet import POOL, UNPOOL

VGG = (64, 128, 256, 512, 512)


def test_the_encoder_is_vgg16_with_batch_norm_and_the_decoder_its_mirror():
    with torch.device("meta"):
        network = SegNet(3, 12, VGG, ((2, 2),) * 5, ((3, 3),) * 5, (2, 2, 3, 3, 3), "batch")
    assert parameters(network.encoder) == 14_723_136  # torchvision's vgg16_bn without its classifier
    pairs = [(512, 512)] * 3 + [(512, 512)] * 2 + [(512, 256)] + [(256, 256)] * 2 + [(256, 128)]
    pairs += [(128, 128), (128, 64), (64, 64)]
    rising = sum(9 * a * b + 3 * b for a, b in pairs)
    assert parameters(network.decoder) == rising
    assert parameters(network.head) == 9 * 64 * 12 + 12


def test_what_pooling_kept_returns_to_exactly_where_it_was():
    for dims in (2, 3):
        x = torch.rand((2, 3, *(7, 8, 9)[:dims]), generator=torch.Generator().manual_seed(dims))
        stride = (2, 2, 3)[:dims]
        kept, places = POOL[dims](x, stride, stride, ceil_mode=True)
        back = UNPOOL[dims](kept, places, stride, stride, output_size=x.shape[2:])
        there = back != 0
        assert int(there.sum()) == kept.numel()
        assert torch.equal(back[there], x[there])
        largest = functional.interpolate(kept, scale_factor=tuple(map(float, stride)), mode="nearest")
        whole = largest[tuple(slice(n) for n in x.shape)]
        assert torch.equal(there, x == whole), "the largest of each window, nothing else"


def test_the_networks_own_unpooled_features_lie_on_the_encoders_maxima():
    network = SegNet(1, 2, (4, 6), ((2, 2), (2, 2)), ((3, 3), (3, 3)), (1, 2), "none").eval()
    seen = {}
    network.encoder[0].register_forward_hook(lambda *a: seen.update(encoded=a[2]))
    network.decoder[0].register_forward_pre_hook(lambda *a: seen.update(unpooled=a[1][0]))
    with torch.no_grad():
        network(torch.rand(1, 1, 11, 14))
    windows = functional.max_pool2d(seen["encoded"], 2, 2, ceil_mode=True)
    largest = windows.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :11, :14]
    there = seen["unpooled"] != 0
    assert bool(there.any())
    assert bool((seen["encoded"][there] == largest[there]).all())
    assert isinstance(network.head, nn.Conv2d)
