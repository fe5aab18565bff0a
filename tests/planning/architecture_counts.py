"""What each architecture costs beside the plain U-Net of the same stages.

Run it to see the numbers that stand in `planning/architectures.py`.
Values are those that autograd keeps for the gradient, each storage once, parameters left out; operations are
those of the forward pass (convolutions, products of matrices), but at least in proportion to the values
that are moved: depthwise convolutions and attention compute little and wait for memory. Shapes are enough, so
everything is on "meta", but for SwinUNETR, which looks at values, and is counted on a smaller patch.
"""

import sys
import warnings

import torch
from torch.utils.flop_counter import FlopCounterMode

from delineate.networks import blueprint, build_network
from delineate.planning.architectures import ARCHITECTURES
from delineate.planning.presets import BASE_WIDTH, PRESETS

PATCH = {2: (256, 256), 3: (96, 96, 96)}
SMALL = {2: (64, 64), 3: (64, 64, 64)}


def kept(network, image):
    """Values that autograd keeps, and operations of the forward pass."""
    sizes, own = {}, {id(p) for p in network.parameters()}

    def keep(tensor):
        if id(tensor) not in own and tensor.is_floating_point():
            sizes[tensor.untyped_storage()._cdata] = (tensor.numel(), tensor)
        return tensor

    saved = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with saved, FlopCounterMode(display=False) as counter:
        network.train()(image)
    return sum(size for size, _ in sizes.values()), counter.get_total_flops()


def ratios(name, dims):
    """(memory, work) of an architecture over those of the plain U-Net with the same halvings."""
    preset = ARCHITECTURES[name]
    shape = preset.shape((1.0,) * dims, (SMALL if name == "swinunetr" else PATCH)[dims])
    plain = PRESETS["default"].plain(shape, BASE_WIDTH)
    counts = []
    for spec in (preset.network(shape, BASE_WIDTH), plain):
        device = "cpu" if name == "swinunetr" else "meta"
        network = build_network(spec, 1, 3) if device == "cpu" else blueprint(spec, 1, 3)
        counts.append(kept(network, torch.zeros((1, 1, *shape.patch), device=device)))
    (memory, work), (plain_memory, plain_work) = counts
    return memory / plain_memory, max(work / plain_work, memory / plain_memory)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or ARCHITECTURES:
        (m2, w2), (m3, w3) = (ratios(name, dims) for dims in (2, 3))
        print(f"{name:22} memory ({m2:.2f}, {m3:.2f})  work ({w2:.2f}, {w3:.2f})")  # noqa: T201
