"""Memory and work: what a network costs, counted from its description.

Memory is counted as values in the outputs of all convolutions for one patch: activations fill a device,
weights hardly matter. What a gigabyte holds was measured by the authors of the method; see `presets`.
Work is counted as floating-point operations of the convolutions, a multiplication and an addition each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from delineate.planning.plan import NetworkSpec

TRAINING = 3  # forward, gradient of the values, gradient of the weights: as much work each


@dataclass(frozen=True)
class Convolution:
    """One convolution: values it reads and writes per place, size of its kernel, places it writes."""

    reads: int
    writes: int
    kernel: int
    places: int

    @property
    def values(self) -> int:
        """Values in its output."""
        return self.writes * self.places

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.reads * self.writes * self.kernel * self.places


def feature_values(spec: NetworkSpec, edges: Sequence[int], outputs: int) -> int:
    """Values in the outputs of all convolutions for one patch, the finest head included."""
    body = sum(layer.values for layer in convolutions(spec, edges, 1))
    heads = [outputs * math.prod(edges)] if len(spec.features) > 1 else []
    return body + sum(heads)


def training_operations(spec: NetworkSpec, edges: Sequence[int], inputs: int, outputs: int) -> int:
    """Operations of one patch in one training step, all heads included."""
    return TRAINING * forward_operations(spec, edges, inputs, outputs)


def forward_operations(spec: NetworkSpec, edges: Sequence[int], inputs: int, outputs: int) -> int:
    """Operations of the forward pass of one patch, as in training."""
    body = sum(layer.operations for layer in convolutions(spec, edges, inputs))
    sizes = _sizes(spec, edges)
    supervised = range(len(sizes) - 1 if spec.deep_supervision else 1)
    return body + sum(2 * spec.features[stage] * outputs * sizes[stage] for stage in supervised)


def convolutions(spec: NetworkSpec, edges: Sequence[int], inputs: int) -> Iterator[Convolution]:
    """Every convolution of encoder and decoder for one patch; not the heads."""
    sizes = _sizes(spec, edges)
    kernels = [math.prod(kernel) for kernel in spec.kernels]
    below = inputs
    if spec.kind == "residual_unet":
        yield Convolution(inputs, spec.features[0], kernels[0], sizes[0])  # stem
        below = spec.features[0]
    for stage, (width, places) in enumerate(zip(spec.features, sizes, strict=True)):
        strided = math.prod(spec.strides[stage]) > 1
        for block in range(spec.encoder_blocks[stage]):
            yield Convolution(below, width, kernels[stage], places)
            if spec.kind == "residual_unet":
                yield Convolution(width, width, kernels[stage], places)
                if below != width or (strided and block == 0):
                    yield Convolution(below, width, 1, places)  # shortcut
            below = width
    for stage in reversed(range(len(sizes) - 1)):
        width, places = spec.features[stage], sizes[stage]
        yield Convolution(below, width, 1, places)  # transposed: each place is written once
        for block in range(spec.decoder_blocks[stage]):
            yield Convolution(width if block else 2 * width, width, kernels[stage], places)
        below = width


def _sizes(spec: NetworkSpec, edges: Sequence[int]) -> list[int]:
    """Places (voxels or pixels) of the feature maps of each stage."""
    result, now = [], list(edges)
    for stride in spec.strides:
        now = [n // s for n, s in zip(now, stride, strict=True)]
        result.append(math.prod(now))
    return result
