"""Detector: Mask R-CNN, laid out for the objects of a dataset.

Anchors have the sizes and ratios that the objects were measured to have; how many boxes a network looks at
follows from how crowded the pictures are. Patch, batch and width are found as for every network. What it
costs beside the U-Net was counted as for the others (`tests/planning/architecture_counts.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from delineate.errors import PlanError
from delineate.planning.fingerprint import Fingerprint
from delineate.planning.objects import ObjectSizes
from delineate.planning.plan import DetectorSpec, NetworkSpec
from delineate.planning.presets import PRESETS, Other, Preset
from delineate.planning.spacing import Frame
from delineate.planning.topology import Axes, Topology

ObjectNetworkName = Literal["mask_rcnn"]

SMALL, LARGE = 5, 95  # percentiles of the sizes that anchors reach from and to
CROWDED = 95  # percentile of the densities that counts are made for
STEP = math.sqrt(2)  # from one size of anchors to the next: half an area off at most, IoU .71
ACROSS = 2.5  # places that an object covers at the level that finds it: anchors are off by a fifth, IoU .47
OBLONG = 1.5  # a longer object (90th percentile) fits square anchors badly: IoU .69 at this one
MOST_OBLONG = 3.0
MEMORY, WORK = 1.5, 2.5  # of the U-Net's: counted 1.5 and 1.75; comparing boxes takes the rest of the time
RATE = 1e-3  # AdamW, as for the U-Net: discs of two kinds are told apart after 40 steps
BLOCKS = 2  # residual blocks of a stage, as in ResNet-18; He 2016
PYRAMID = 4  # times as wide as the first stage: 128 of 32; Lin 2017 has 256 of 64
HIDDEN = 16  # the same for the layers that tell kinds apart: 512; He 2017 has 1024
COMPARED = 256  # anchors; Ren 2015
LEAST_EDGE = 2.0  # large objects that a patch has room for, side by side


def finding(found: Fingerprint, frame: Frame) -> Preset:
    """Mask R-CNN for these objects, in place of the U-Net.

    Raises:
        PlanError: labels do not number objects, there are none, or the scans are no pictures.
    """
    objects = found.objects
    if objects is None or not objects.count:
        what = "the labels name structures" if objects is None else "no case has an object"
        raise PlanError(
            f"mask_rcnn finds single objects, but {what}. Where every value of a label file is one object, "
            'say so in labels.json, {"background": 0, "nucleus": "instances"}, and measure the data again in '
            "a new run folder."
        )
    if not frame.is_flat:
        raise PlanError(
            "mask_rcnn finds objects in pictures, but these scans are volumes. Segment them with another "
            "network, and take connected pieces for objects."
        )
    measure = _Measure(objects, math.sqrt(frame.spacing[1] * frame.spacing[2]))
    other = Other(
        measure.layout,
        {2: MEMORY, 3: MEMORY},
        {2: WORK, 3: WORK},
        measure.halvings,
        rate=RATE,
        reasons=measure.reasons(),
        loss="mask_rcnn",
        edge=measure.least_edge,
    )
    return replace(PRESETS["default"], other=other)


class _Measure:
    """The objects in voxels of a network's grid, and what follows from them.

    voxel  edge of a voxel in mm
    """

    def __init__(self, objects: ObjectSizes, voxel: float) -> None:
        self.small, self.large = (objects.sizes.percentile(p) / voxel for p in (SMALL, LARGE))
        self.oblong = objects.elongations.percentile(90)
        self.density = objects.densities.percentile(CROWDED) * voxel**2
        self.count = objects.count

    @property
    def sizes(self) -> tuple[float, ...]:
        """Sizes of anchors, from small to large."""
        steps = math.ceil(math.log(self.large / self.small, STEP) - 1e-6)
        return tuple(round(self.small * STEP**n, 1) for n in range(steps + 1))

    @property
    def ratios(self) -> tuple[float, ...]:
        """One shape, or three where many objects are oblong."""
        if self.oblong < OBLONG:
            return (1.0,)
        long = round(min(self.oblong, MOST_OBLONG), 2)
        return (round(1 / long, 2), 1.0, long)

    @property
    def finest(self) -> int:
        """Voxels from place to place at the level that finds small objects."""
        return 1 << max(0, math.floor(math.log2(self.small / ACROSS)))

    @property
    def halvings(self) -> int:
        """How often an axis is halved: down to the level that finds large objects."""
        return max(1, math.floor(math.log2(max(self.sizes) / ACROSS)))

    @property
    def least_edge(self) -> int:
        """Voxels along the edge of a patch above which it may be cut: one step below is room enough."""
        return math.ceil(LEAST_EDGE * self.large) + (1 << self.halvings)

    def layout(self, shape: Topology, width: int) -> NetworkSpec:
        """The network for a patch."""
        stages, dims = len(shape.strides), len(shape.patch)
        covers = [max(_product(shape.strides[: n + 1])) for n in range(stages)]
        level = next((n for n in range(stages) if covers[n] >= self.finest), stages - 1)
        crowd = max(1, math.ceil(self.density * math.prod(shape.patch)))
        return NetworkSpec(
            kind="mask_rcnn",
            features=PRESETS["default"].plain(shape, width).features,
            strides=shape.strides,
            kernels=((3,) * dims,) * stages,
            encoder_blocks=(1, *(BLOCKS,) * (stages - 1)),
            decoder_blocks=(),
            deep_supervision=False,
            detector=DetectorSpec(
                level=level,
                width=PYRAMID * width,
                hidden=HIDDEN * width,
                sizes=self._by_level(covers[level:]),
                ratios=self.ratios,
                compared=COMPARED,
                proposals=_power(3 * crowd, 128, 1024),
                regions=_power(crowd, 64, 256),
                objects=_power(2 * crowd, 64, 1024),
            ),
        )

    def _by_level(self, covers: Sequence[int]) -> tuple[tuple[float, ...], ...]:
        """The sizes that each level finds; one that none falls to finds the one it suits best."""
        levels: list[list[float]] = [[] for _ in covers]
        for size in self.sizes:
            suited = [n for n, step in enumerate(covers) if step * ACROSS <= size * 1.001]
            levels[suited[-1] if suited else 0].append(size)
        best = (min(self.sizes, key=lambda size: abs(math.log(size / (step * ACROSS)))) for step in covers)
        return tuple(tuple(some) or (one,) for some, one in zip(levels, best, strict=True))

    def reasons(self) -> dict[str, str]:
        """Why each field of the network has its value."""
        crowd = f"{CROWDED} % of the pictures have at most {self.density * 256**2:.0f} in 256 x 256 voxels"
        return {
            "features": "doubled with each stage, as those of the U-Net",
            "strides": f"halved until large objects cover {ACROSS:g} places and more",
            "kernels": "3 voxels along both axes",
            "encoder_blocks": f"{BLOCKS} residual blocks a stage, as ResNet-18; one at full resolution",
            "decoder_blocks": "none: a pyramid of features takes their place",
            "deep_supervision": "objects are compared at every level already",
            "detector": "from the objects as measured",
            "detector.level": f"small objects of {self.small:.3g} voxels cover {ACROSS:g} places there",
            "detector.width": f"{PYRAMID} times the first stage's, as in the paper",
            "detector.hidden": f"{HIDDEN} times the first stage's, as in the paper",
            "detector.sizes": f"{100 - 2 * SMALL} % of {self.count} objects are {self.small:.3g} to "
            f"{self.large:.3g} voxels large (root of the area of their boxes); in steps of {STEP:.2f}",
            "detector.ratios": f"a tenth of the objects is {self.oblong:.3g} times as long as wide, or longer"
            + (", which square anchors would miss" if self.oblong >= OBLONG else ": square anchors fit"),
            "detector.compared": "the paper's",
            "detector.proposals": f"three for each object of a crowded patch: {crowd}",
            "detector.regions": f"as many as a crowded patch has objects, a quarter of them objects: {crowd}",
            "detector.objects": f"twice as many as in a crowded patch: {crowd}",
        }


def _product(strides: Sequence[Axes]) -> Axes:
    return tuple(math.prod(along) for along in zip(*strides, strict=True))


def _power(number: int, least: int, most: int) -> int:
    """The power of two that is no smaller, within limits."""
    return min(most, max(least, 1 << math.ceil(math.log2(number))))
