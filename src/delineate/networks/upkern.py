"""UpKern: large depthwise kernels that begin as small ones, drawn out.

A MedNeXt of kernels of 5 learns badly from nothing with few cases; begun with the weights of one of kernels
of 3, each drawn out linearly to the larger size, it does not. The norm after each depthwise convolution takes
away that a drawn-out kernel sums to more. Source: Roy 2023, doi:10.1007/978-3-031-43901-8_39, section 2.2.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

LINEAR = {2: "bilinear", 3: "trilinear"}


def is_larger(weight: Tensor, sizes: tuple[int, ...]) -> bool:
    """Whether kernels (out, 1, *kernel) would grow along some axes and shrink along none."""
    here = tuple(weight.shape[2:])
    return len(here) == len(sizes) and here != sizes and all(a <= b for a, b in zip(here, sizes, strict=True))


def drawn_out(weight: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Kernels (out, 1, *kernel) of other sizes, read linearly between their voxels."""
    return functional.interpolate(weight, size=sizes, mode=LINEAR[len(sizes)], align_corners=False)
