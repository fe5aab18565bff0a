"""Architectures: the networks of the literature, laid out for a dataset.

Each is planned as the U-Net is: the patch starts as large as the median case and is cut until a batch of two
fits into memory; on a CPU batch, width and patch give way to the time there is. An architecture says how it
is laid out for a patch (its layout, from the topology that the rules gave), and what it costs beside the
plain U-Net of the same stages: values kept for the gradient, and operations. Both were counted on a CPU
(`tests/planning/architecture_counts.py`). Widths are the papers' where the U-Net would have 32 features at
full resolution, and as much narrower as that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from delineate.errors import PlanError
from delineate.planning.plan import NetworkKind, NetworkSpec, Plan
from delineate.planning.presets import BASE_WIDTH, PRESETS, Other, Preset
from delineate.planning.topology import Axes, Topology

NetworkName = Literal[
    "attention_unet",
    "deeplabv3plus",
    "densenet_unet",
    "fcn8s",
    "kerfoot_unet",
    "mednext_b",
    "mednext_l",
    "mednext_m",
    "mednext_s",
    "original_unet",
    "original_unet_padded",
    "resnet_unet",
    "segnet",
    "segresnet",
    "swinunetr",
    "unet3d",
    "unetr",
    "vnet",
]
Layout = Callable[[Topology, int], NetworkSpec]

RATES = (6, 12, 18)  # of DeepLabv3+, for features of 33 x 33; Chen 2018
RATED_EDGE = 33
VGG_WIDEST = 512
CLASSIFIER = {2: 4096, 3: 1024}  # FCN's last stage; in 3D a quarter, or it alone would have 700 M parameters
CLASSIFIER_KERNEL = {2: 7, 3: 3}
DENSE = (6, 12, 24, 16)  # DenseNet-121; Huang 2017
RESNET = (3, 4, 6, 3)  # ResNet-34; He 2016
GROWTH = 32
HEADS = 12  # UNETR, ViT-B; Hatamizadeh 2022
TOKEN = 768
SWIN_HEADS = (3, 6, 12, 24)
SWIN_WIDTH = 48
MEDNEXT: dict[
    str, tuple[tuple[int, ...], tuple[int, ...]]
] = {  # blocks and expansion of nine stages; Roy 2023
    "s": ((2,) * 9, (2,) * 9),
    "b": ((2,) * 9, (2, 3, 4, 4, 4, 4, 4, 3, 2)),
    "m": ((3, 4, 4, 4, 4, 4, 4, 4, 3), (2, 3, 4, 4, 4, 4, 4, 3, 2)),
    "l": ((3, 4, 8, 8, 8, 8, 8, 4, 3), (3, 4, 8, 8, 8, 8, 8, 4, 3)),
}
MEDNEXT_KERNELS = (3, 5)  # Roy 2023
INSTANCE = "batches are of few patches, whose mean and spread would be noise: each image is normed by itself"


def _scaled(value: int, width: int) -> int:
    return max(1, value * width // BASE_WIDTH)


def _spec(kind: NetworkKind, shape: Topology, features: Sequence[int], **rest: Any) -> NetworkSpec:
    """A network with the topology's own strides and kernels, unless others are given."""
    fields = {"strides": shape.strides, "kernels": shape.kernels, "deep_supervision": False} | rest
    return NetworkSpec.model_validate({"kind": kind, "features": tuple(features), **fields})


def _doubled(first: int, stages: int, widest: int) -> tuple[int, ...]:
    return tuple(min(widest, first * 2**n) for n in range(stages))


def _kernels(shape: Topology, size: int) -> tuple[Axes, ...]:
    """Kernels of this size wherever the rules have 3."""
    return tuple(tuple(size if k == 3 else 1 for k in kernel) for kernel in shape.kernels)


def _halving(shape: Topology, least: int) -> tuple[tuple[Axes, ...], tuple[Axes, ...]]:
    """Strides and kernels without the stage at full resolution, `least` stages or more."""
    unit = (1,) * len(shape.patch)
    lacking = max(0, least - len(shape.strides) + 1)
    strides = (*shape.strides[1:], *(unit,) * lacking)
    return strides, (*shape.kernels[1:], *(shape.kernels[-1],) * lacking)


def _attention(shape: Topology, width: int) -> NetworkSpec:
    plain = PRESETS["default"].plain(shape, width)
    return plain.but(kind="attention_unet")


def _fcn(shape: Topology, width: int) -> NetworkSpec:
    dims, unit = len(shape.patch), (1,) * len(shape.patch)
    lacking = max(0, 4 - len(shape.strides))
    strides = (*shape.strides, *(unit,) * lacking)
    kernels = (*shape.kernels, *(shape.kernels[-1],) * lacking)
    stages = len(strides)
    first = _scaled(64, width)
    body = _doubled(first, stages - 1, 8 * first)
    last = _scaled(CLASSIFIER[dims], width)
    blocks = (*(2 if n < 2 else 3 for n in range(stages - 1)), 2)
    wide = tuple(CLASSIFIER_KERNEL[dims] if k == 3 else 1 for k in kernels[-1])
    return _spec(
        "fcn8s",
        shape,
        (*body, last),
        strides=strides,
        kernels=(*kernels[:-1], wide),
        encoder_blocks=blocks,
        decoder_blocks=(),
        norm="instance",
    )


def _segnet(shape: Topology, width: int) -> NetworkSpec:
    strides, _ = _halving(shape, 2)
    kernels = (*shape.kernels[:-1], *(shape.kernels[-1],) * (len(strides) - len(shape.kernels) + 1))
    first = _scaled(64, width)
    return _spec(
        "segnet",
        shape,
        _doubled(first, len(strides), 8 * first),
        strides=strides,
        kernels=kernels,
        encoder_blocks=tuple(2 if n < 2 else 3 for n in range(len(strides))),
        decoder_blocks=(),
        norm="instance",
    )


def _original(shape: Topology, width: int, *, padded: bool) -> NetworkSpec:
    n = len(shape.strides)
    features = _doubled(_scaled(64, width), n, _scaled(1024, width))
    return _spec(
        "original_unet",
        shape,
        features,
        encoder_blocks=(2,) * n,
        decoder_blocks=(2,) * (n - 1),
        padded=padded,
    )


def _valid(shape: Topology, width: int) -> NetworkSpec:
    return _original(shape, width, padded=False)


def _padded(shape: Topology, width: int) -> NetworkSpec:
    return _original(shape, width, padded=True)


def _unet3d(shape: Topology, width: int) -> NetworkSpec:
    n = len(shape.strides)
    return _spec(
        "unet3d",
        shape,
        _doubled(_scaled(64, width), n, _scaled(512, width)),
        encoder_blocks=(2,) * n,
        decoder_blocks=(2,) * (n - 1),
        padded=True,
        norm="instance",
    )


def _vnet(shape: Topology, width: int) -> NetworkSpec:
    n = len(shape.strides)
    blocks = tuple(min(3, stage + 1) for stage in range(n))
    return _spec(
        "vnet",
        shape,
        _doubled(_scaled(16, width), n, _scaled(256, width)),
        kernels=_kernels(shape, 5),
        encoder_blocks=blocks,
        decoder_blocks=blocks[:-1],
        norm="instance",
    )


def _stemmed(kernels: tuple[Axes, ...]) -> tuple[Axes, ...]:
    """With the stem's kernel of seven."""
    return (tuple(7 if k == 3 else 1 for k in kernels[0]), *kernels[1:])


def _deeplab(shape: Topology, width: int) -> NetworkSpec:
    strides, kernels = _halving(shape, 2)
    unit, first = (1,) * len(shape.patch), _scaled(64, width)
    edge = min(edge // step for edge, step in zip(shape.patch, shape.divisor, strict=True))
    n = len(strides) + 1
    return _spec(
        "deeplabv3plus",
        shape,
        (first, *_doubled(first, n - 1, 8 * first)),
        strides=(*strides, unit),
        kernels=_stemmed((*kernels, kernels[-1])),
        encoder_blocks=(1, *RESNET[: n - 1]),
        decoder_blocks=(),
        norm="instance",
        bottleneck=False,
        rates=tuple(max(1, round(rate * min(1.0, edge / RATED_EDGE))) for rate in RATES),
    )


def _resnet(shape: Topology, width: int) -> NetworkSpec:
    strides, kernels = _halving(shape, 2)
    n, first = len(strides), _scaled(64, width)
    return _spec(
        "resnet_unet",
        shape,
        (first, *_doubled(first, n - 1, 8 * first)),
        strides=strides,
        kernels=_stemmed(kernels),
        encoder_blocks=(1, *RESNET[: n - 1]),
        decoder_blocks=(1,) * (n - 1),
        deep_supervision=True,
        norm="instance",
        bottleneck=False,
    )


def _densenet(shape: Topology, width: int) -> NetworkSpec:
    strides, kernels = _halving(shape, 2)
    n, growth = len(strides), _scaled(GROWTH, width)
    features = [2 * growth]
    for stage, layers in enumerate(DENSE[: n - 1]):
        features.append(features[-1] // (2 if stage else 1) + layers * growth)
    return _spec(
        "densenet_unet",
        shape,
        features,
        strides=strides,
        kernels=_stemmed(kernels),
        encoder_blocks=(1, *DENSE[: n - 1]),
        decoder_blocks=(1,) * (n - 1),
        deep_supervision=True,
        norm="instance",
        growth=growth,
    )


def _kerfoot(shape: Topology, width: int) -> NetworkSpec:
    strides, kernels = _halving(shape, 1)
    unit, first = (1,) * len(shape.patch), _scaled(32, width)
    n = len(strides) + 1
    return _spec(
        "kerfoot_unet",
        shape,
        _doubled(first, n, 16 * first),
        strides=(*strides, unit),
        kernels=(*kernels, kernels[-1]),
        encoder_blocks=(2,) * n,
        decoder_blocks=(1,) * (n - 1),
        norm="instance",
        residual=True,
    )


def _mednext(size: str) -> Layout:
    blocks, expansion = MEDNEXT[size]
    down, up = slice(0, 4), slice(5, 9)

    def layout(shape: Topology, width: int) -> NetworkSpec:
        n = len(shape.strides)
        return _spec(
            "mednext",
            shape,
            _doubled(width, n, 16 * width),
            encoder_blocks=(*blocks[down][: n - 1], blocks[4]),
            decoder_blocks=blocks[up][::-1][: n - 1],
            deep_supervision=True,
            expansion=(*expansion[down][: n - 1], expansion[4], *expansion[up][::-1][: n - 1][::-1]),
        )

    return layout


def with_kernels(plan: Plan, size: int) -> Plan:
    """The plan with larger kernels in its MedNeXt, wherever they are 3: 5 is the other size of its authors.

    Raises:
        PlanError: the network is no MedNeXt, or the size is no kernel's.
    """
    if size not in MEDNEXT_KERNELS:
        raise PlanError(f"kernels of MedNeXt are {' or '.join(map(str, MEDNEXT_KERNELS))}, got {size}.")
    kinds = sorted({plan.configuration(name).network.kind for name in plan.use})
    if kinds != ["mednext"]:
        raise PlanError(
            f"kernels of {size} are a choice of MedNeXt; the plan uses {', '.join(kinds)}. "
            "Add  --network mednext_s  or begin with such a model."
        )
    configurations, reasons = dict(plan.configurations), dict(plan.reasons)
    for name in plan.use:
        configuration = plan.configuration(name)
        kernels = tuple(
            tuple(size if k > 1 else 1 for k in kernel) for kernel in configuration.network.kernels
        )
        configurations[name] = configuration.but(network=configuration.network.but(kernels=kernels))
        reasons[f"configurations.{name}.network.kernels"] = "asked for; 1 across thick slices"
    same = configurations == plan.configurations
    return plan if same else plan.but(configurations=configurations, reasons=reasons)


def _unetr(shape: Topology, width: int) -> NetworkSpec:
    features = (*_doubled(_scaled(16, width), 4, 10**9), _scaled(TOKEN, width))
    return _spec(
        "unetr",
        shape,
        features,
        encoder_blocks=(1, 1, 1, 1, 12),
        decoder_blocks=(),
        heads=(HEADS,),
        image=shape.patch,
    )


def _swinunetr(shape: Topology, width: int) -> NetworkSpec:
    first = _scaled(SWIN_WIDTH, width)
    return _spec(
        "swinunetr",
        shape,
        (first, *_doubled(first, 5, 10**9)),
        encoder_blocks=(1, 2, 2, 2, 2, 1),
        decoder_blocks=(),
        heads=SWIN_HEADS,
    )


def _segresnet(shape: Topology, width: int) -> NetworkSpec:
    n = len(shape.strides)
    return _spec(
        "segresnet",
        shape,
        _doubled(width, n, 10**9),
        encoder_blocks=(1, 2, 2, 4),
        decoder_blocks=(1,) * (n - 1),
    )


_STAGES = {
    "strides": "as the rules halve the axes of the U-Net, as often as this network does at most",
    "kernels": "the paper's along every axis, but 1 across thick slices, as in the U-Net",
}
_EVEN = {
    "strides": "this network halves every axis alike, whatever the spacing",
    "kernels": "fixed by this network",
}


def _other(
    layout: Layout,
    memory: tuple[float, float],
    work: tuple[float, float],
    halvings: int,
    *,
    rate: float | None = None,
    **reasons: str,
) -> Other:
    """`memory` and `work` in 2D and in 3D."""
    costs = ({2: memory[0], 3: memory[1]}, {2: work[0], 3: work[1]})
    return Other(layout, *costs, halvings, rate=rate, reasons=_STAGES | reasons)


def _fixed(
    layout: Layout, memory: tuple[float, float], work: tuple[float, float], halvings: int, **reasons: str
) -> Other:
    """One of those that halve every axis alike; transformers among them."""
    other = _other(layout, memory, work, halvings, rate=TRANSFORMER_RATE)
    return replace(other, even=True, reasons=_EVEN | reasons)


TRANSFORMER_RATE = 1e-4  # AdamW; Hatamizadeh 2022
MEDNEXT_RATE = 1e-3  # AdamW; Roy 2023
UNNORMED_RATE = 1e-4  # AdamW: without norms larger steps diverge

_WIDTH = "the paper's, as much narrower as the time for a step asks for"
_OTHERS: dict[NetworkName, Other] = {
    "attention_unet": _other(_attention, (1.02, 1.01), (1.02, 1.01), 99, features="those of the U-Net"),
    "deeplabv3plus": _other(
        _deeplab,
        (0.50, 0.16),
        (1.12, 0.43),
        4,
        norm=INSTANCE,
        features=f"ResNet-34's: {_WIDTH}",
        rates=f"6, 12 and 18 for features of {RATED_EDGE} voxels, in proportion where there are fewer: "
        "beyond the border a rate sees nothing",
        bottleneck="blocks of two convolutions, as ResNet-34",
    ),
    "densenet_unet": _other(
        _densenet,
        (1.47, 0.61),
        (1.52, 0.74),
        5,
        norm=INSTANCE,
        features="they follow from growth and blocks",
        growth=_WIDTH,
        encoder_blocks="DenseNet-121's",
    ),
    "fcn8s": _other(_fcn, (0.94, 0.85), (1.94, 1.34), 5, norm=INSTANCE, features=f"VGG16's: {_WIDTH}"),
    "kerfoot_unet": _other(
        _kerfoot,
        (0.34, 0.19),
        (0.34, 0.19),
        5,
        norm=INSTANCE,
        features=f"MONAI's: {_WIDTH}",
        residual="MONAI's bundles add what enters a unit to what leaves it",
    ),
    "mednext_s": _other(_mednext("s"), (4.32, 4.22), (4.32, 4.22), 4, rate=MEDNEXT_RATE, features=_WIDTH),
    "mednext_b": _other(_mednext("b"), (5.16, 4.58), (5.16, 4.58), 4, rate=MEDNEXT_RATE, features=_WIDTH),
    "mednext_m": _other(_mednext("m"), (7.78, 6.57), (7.78, 6.57), 4, rate=MEDNEXT_RATE, features=_WIDTH),
    "mednext_l": _other(_mednext("l"), (14.13, 9.54), (14.13, 9.54), 4, rate=MEDNEXT_RATE, features=_WIDTH),
    "original_unet": _other(
        _valid,
        (2.17, 11.43),
        (6.50, 30.08),
        4,
        rate=UNNORMED_RATE,
        features=_WIDTH,
        padded="convolutions see only what is there; the patch is mirrored beyond its border",
    ),
    "original_unet_padded": _other(
        _padded,
        (1.25, 1.22),
        (3.99, 4.02),
        4,
        rate=UNNORMED_RATE,
        features=_WIDTH,
        padded="convolutions keep the size: zeros beyond the border",
    ),
    "resnet_unet": _other(
        _resnet,
        (0.55, 0.40),
        (0.55, 0.40),
        5,
        norm=INSTANCE,
        features=f"ResNet-34's: {_WIDTH}",
        bottleneck="blocks of two convolutions, as ResNet-34",
    ),
    "segnet": _other(_segnet, (1.68, 1.52), (2.81, 2.67), 5, norm=INSTANCE, features=f"VGG16's: {_WIDTH}"),
    "unet3d": _other(
        _unet3d,
        (2.03, 2.02),
        (4.23, 4.36),
        3,
        norm=INSTANCE,
        features=_WIDTH,
        padded="convolutions keep the size: a patch is too small to lose its border",
    ),
    "vnet": _other(_vnet, (1.15, 0.94), (1.67, 2.12), 4, norm=INSTANCE, features=_WIDTH),
    "segresnet": replace(
        _fixed(_segresnet, (1.31, 1.19), (1.69, 1.29), 3, features=_WIDTH), rate=TRANSFORMER_RATE
    ),
    "swinunetr": _fixed(_swinunetr, (5.57, 3.75), (5.57, 3.75), 5, features=_WIDTH, heads="the paper's"),
    "unetr": _fixed(
        _unetr,
        (3.80, 0.92),
        (3.80, 0.92),
        4,
        features=_WIDTH,
        heads="the paper's",
        image="it learns where each token lies: the patch, and no other image",
    ),
}

ARCHITECTURES: dict[NetworkName, Preset] = {
    name: replace(PRESETS["default"], other=other) for name, other in _OTHERS.items()
}
