"""Plan: everything that was decided about a dataset, each number with its reason.

`planning` thinks; `preparation`, `training` and `inference` execute what stands here and decide nothing.
A plan is a JSON file that a person can read and edit. It is checked when made and when loaded, and what was
set by hand says so (`plan.set_by_hand("training.minutes", 20)`).
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from delineate.errors import PlanError
from delineate.record import Record
from delineate.space import LabelSchema, Shape, Spacing

ConfigurationName = Literal["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"]
Axis = Literal[0, 1, 2]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[float, float]

LossName = Literal[
    "dice_ce",
    "dice_weighted_ce",
    "dice_focal",
    "dice_squared_ce",
    "generalised_dice_ce",
    "jaccard_ce",
    "tversky_ce",
    "tversky_focal",
    "semimetric_ce",
    "cldice_ce",
    "dice_ce_boundary",
    "dice_ce_hausdorff",
    "dice",
    "dice_squared",
    "generalised_dice",
    "jaccard",
    "tversky",
    "semimetric",
    "cldice",
    "ce",
    "weighted_ce",
    "focal",
]
OwnLoss = Literal["mask_rcnn"]  # an objective that a network brings with it
OptimizerName = Literal["sgd", "adam", "adamw", "muon"]
WEIGHTED: tuple[LossName, ...] = ("weighted_ce", "dice_weighted_ce")  # these need class_weights

LANDMARKS = (
    1,
    10,
    20,
    30,
    40,
    50,
    60,
    70,
    80,
    90,
    99,
)  # per cent; Shah 2011, doi:10.1016/j.media.2010.12.003
STORED = "stored"  # orientation of a plan whose scans are taken as they lie in their files


class Normalization(Record):
    """How the values of one channel become network input.

    ct       clip to (low, high), subtract mean, divide by sd; the four numbers are the dataset's
    zscore   subtract the scan's own mean, divide by its own sd; inside the non-zero mask if `masked`
    unit     the scan's own minimum and maximum become 0 and 1
    rgb      divide by 255
    none     as it is

    landmarks  with zscore: the scan's percentiles (`LANDMARKS`) come to lie there, in standard deviations,
               and values between them in proportion: histogram matching, to the dataset's own
    """

    rule: Literal["ct", "zscore", "unit", "rgb", "none"]
    masked: bool = False
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = None
    landmarks: tuple[float, ...] | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        numbers = (self.low, self.high, self.mean, self.sd)
        if self.rule == "ct" and None in numbers:
            raise ValueError("rule 'ct' needs low, high, mean and sd")
        if self.landmarks is not None and self.rule != "zscore":
            raise ValueError(f"landmarks belong to rule 'zscore', not to {self.rule!r}")
        if self.landmarks is not None and len(self.landmarks) != len(LANDMARKS):
            raise ValueError(f"landmarks are {len(LANDMARKS)} numbers, got {len(self.landmarks)}")
        return self


class Denoise(Record):
    """Artefact reduction before normalisation, the same in training and inference.

    median  median filter of `size` voxels along each axis in the plane (and through it, if 3D)
    n4      N4 bias field correction, Tustison 2010, doi:10.1109/TMI.2010.2046908
    """

    rule: Literal["none", "median", "n4"] = "none"
    size: Annotated[int, Field(ge=3)] = 3

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.size % 2 == 0:
            raise ValueError("size of a median filter is odd")
        return self


class ChannelPlan(Record):
    """What happens to one input channel."""

    name: str
    normalization: Normalization
    denoise: Denoise = Denoise()


NetworkKind = Literal[
    "unet",
    "residual_unet",
    "seed_unet2d",
    "seed_unet3d",
    "fcn8s",
    "segnet",
    "original_unet",
    "unet3d",
    "vnet",
    "deeplabv3plus",
    "attention_unet",
    "resnet_unet",
    "densenet_unet",
    "mednext",
    "unetr",
    "swinunetr",
    "segresnet",
    "kerfoot_unet",
    "mask_rcnn",
]
OWN_FIELDS: dict[str, tuple[str, ...]] = {  # what a kind needs beyond its stages
    "fcn8s": ("norm",),
    "segnet": ("norm",),
    "original_unet": ("padded",),
    "unet3d": ("norm", "padded"),
    "vnet": ("norm",),
    "deeplabv3plus": ("norm", "bottleneck", "rates"),
    "resnet_unet": ("norm", "bottleneck"),
    "densenet_unet": ("norm", "growth"),
    "mednext": ("expansion",),
    "unetr": ("heads", "image"),
    "swinunetr": ("heads",),
    "kerfoot_unet": ("norm", "residual"),
    "mask_rcnn": ("detector",),
}
SUPERVISED = (
    "unet",
    "residual_unet",
    "attention_unet",
    "resnet_unet",
    "densenet_unet",
    "mednext",
)  # have logits at coarser resolutions too
WITHOUT_DECODER = (  # nothing to choose there
    "fcn8s", "segnet", "deeplabv3plus", "unetr", "swinunetr", "mask_rcnn",
)  # fmt: skip
TWICE = ("original_unet", "unet3d")  # two convolutions in every stage, by definition
EVEN = ("unetr", "swinunetr", "segresnet")  # 3 voxels and halved along every axis, by definition


def _own() -> Any:
    """A field that only some kinds have: absent from the JSON of the others, as in older plans."""
    return Field(default=None, exclude_if=lambda value: value is None)


class DetectorSpec(Record):
    """How a network finds objects: where it looks first, how much of that closer, and what it keeps.

    level      the stage of the encoder, from 0, with which its pyramid of features begins
    width      channels of the pyramid; `hidden`: of the layers that tell kinds of objects apart
    sizes      per level of the pyramid, the anchors' sizes (the root of their area) in voxels
    ratios     of the anchors' edge along the first axis to that along the second
    compared   anchors of a patch that a training step compares with the objects
    proposals  boxes of a window that are looked at closer
    regions    how many of those of a patch a training step compares with the objects
    objects    of a window, at most
    """

    level: Annotated[int, Field(ge=0)]
    width: Count
    hidden: Count
    sizes: Annotated[tuple[Annotated[tuple[Positive, ...], Field(min_length=1)], ...], Field(min_length=1)]
    ratios: Annotated[tuple[Positive, ...], Field(min_length=1)]
    compared: Annotated[int, Field(ge=2)] = 256
    proposals: Count
    regions: Annotated[int, Field(ge=4)]
    objects: Count


class NetworkSpec(Record):
    """A network, completely described; `networks.build` makes it.

    Stages run from full resolution to the bottleneck. Strides and kernels have one entry per
    spatial axis of the network: two for a 2D configuration, three for 3D. `strides[0]` is one, but for
    networks that have no features at full resolution (deeplabv3plus, resnet_unet, densenet_unet,
    kerfoot_unet), and for segnet, where the stride of a stage is that of the pool after it.

    unet           plain U-Net, instance norm, leaky ReLU (nnU-Net's default)
    residual_unet  residual encoder (nnU-Net's ResEnc presets)
    seed_unet2d, seed_unet3d   two teaching networks of fixed layout, for comparison
    the others     networks of the literature, `planning.architectures`; which fields each needs further:

    norm        instance, batch (the papers', for batches of ten and more) or none
    padded      whether convolutions keep the size (zeros); else they are valid, and the image is mirrored
    bottleneck  residual blocks of three convolutions, the middle one a quarter as wide; else of two
    rates       dilations of the atrous pyramid
    growth      channels that each layer of a dense block adds
    expansion   per stage, encoder, bottleneck, decoder: how much wider blocks are inside
    heads       of attention: one number, or one per stage of windows
    image       edges of the only image that fits
    detector    how objects are found; such a network gives objects, not a label for each voxel
    residual    whether what enters a stage is added to what leaves it
    """

    kind: NetworkKind = "unet"
    features: Annotated[tuple[Count, ...], Field(min_length=1)]
    strides: tuple[tuple[Count, ...], ...]
    kernels: tuple[tuple[Count, ...], ...]
    encoder_blocks: tuple[Count, ...]  # convolutions (unet), residual blocks, layers per stage
    decoder_blocks: tuple[Count, ...]  # per stage, one entry fewer; none where the decoder is fixed
    deep_supervision: bool = True
    norm: Literal["instance", "batch", "none"] | None = _own()
    padded: bool | None = _own()
    bottleneck: bool | None = _own()
    rates: tuple[Count, ...] | None = _own()
    growth: Count | None = _own()
    expansion: tuple[Count, ...] | None = _own()
    heads: tuple[Count, ...] | None = _own()
    image: tuple[Count, ...] | None = _own()
    detector: DetectorSpec | None = _own()
    residual: bool | None = _own()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = len(self.features)
        lengths = (len(self.strides), len(self.kernels), len(self.encoder_blocks))
        ups = 0 if self.kind in WITHOUT_DECODER else n - 1
        if any(length != n for length in lengths) or len(self.decoder_blocks) != ups:
            raise ValueError(
                f"{n} stages need {n} strides, kernels and encoder_blocks and {ups} "
                f"decoder_blocks, got {lengths} and {len(self.decoder_blocks)}"
            )
        dims = {len(t) for t in (*self.strides, *self.kernels)}
        if len(dims) != 1 or not dims <= {2, 3}:
            raise ValueError(f"strides and kernels have 2 or 3 entries each, got {sorted(dims)}")
        if any(k % 2 == 0 for kernel in self.kernels for k in kernel):
            raise ValueError("kernel sizes are odd")
        return self

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        own = OWN_FIELDS.get(self.kind, ())
        every = {name for names in OWN_FIELDS.values() for name in names}
        missing = [name for name in own if getattr(self, name) is None]
        strange = sorted(name for name in every - set(own) if getattr(self, name) is not None)
        if missing or strange:
            wrong = [f"needs {name}" for name in missing] + [f"has no {name}" for name in strange]
            raise ValueError(f"{self.kind} {', '.join(wrong)}")
        if self.deep_supervision and self.kind not in SUPERVISED:
            raise ValueError(f"{self.kind} has one output: deep_supervision must be false")
        for problem in self._problems():
            raise ValueError(f"{self.kind}: {problem}")
        return self

    def _problems(self) -> Iterator[str]:
        """What contradicts the kind."""
        n, blocks = len(self.features), (*self.encoder_blocks, *self.decoder_blocks)
        if self.kind in TWICE and set(blocks) != {2}:
            yield f"has two convolutions in every stage, got {list(blocks)}"
        if self.kind in EVEN:
            pairs = zip(self.strides, self.kernels, strict=True)
            if any(set(s) != {2 if stage else 1} or set(k) != {3} for stage, (s, k) in enumerate(pairs)):
                yield "halves every axis between stages, with kernels of 3"
        stages = {"fcn8s": (4, 99), "unetr": (5, 5), "swinunetr": (6, 6), "deeplabv3plus": (3, 99)}
        least, most = stages.get(self.kind, (2, 99) if self.kind in OWN_FIELDS else (1, 99))
        if not least <= n <= most:
            yield f"has {least} stages{' or more' if most > least else ''}, got {n}"
        if self.expansion is not None and len(self.expansion) != 2 * n - 1:
            yield f"{n} stages need {2 * n - 1} numbers of expansion, got {len(self.expansion)}"
        if self.growth is not None and self.features != _grown(self):
            yield f"features follow from growth and blocks: expected {list(_grown(self))}"
        if self.image is not None and any(
            edge % d for edge, d in zip(self.image, self.divisor, strict=False)
        ):
            yield f"the image {list(self.image)} is not a multiple of {list(self.divisor)}"
        if self.detector is not None:
            yield from self._detector_problems(self.detector)
        heads = {"unetr": 1, "swinunetr": 4}.get(self.kind)
        if heads is not None and len(self.heads or ()) != heads:
            yield f"has {heads} number(s) of heads, got {list(self.heads or ())}"

    def _detector_problems(self, detector: DetectorSpec) -> Iterator[str]:
        levels = len(self.features) - detector.level
        if self.dims != 2:
            yield "finds objects in pictures, with two entries in each stride and kernel"
        if len(detector.sizes) != levels:
            yield (
                f"a pyramid from stage {detector.level} of {len(self.features)} on needs sizes for {levels} "
                f"level(s), got {len(detector.sizes)}"
            )

    @property
    def finds_objects(self) -> bool:
        """Whether it gives single objects; else a label for each voxel."""
        return self.detector is not None

    @property
    def dims(self) -> int:
        """2 or 3."""
        return len(self.strides[0])

    @property
    def divisor(self) -> tuple[int, ...]:
        """What each patch edge must be a multiple of: the product of the strides."""
        return tuple(math.prod(s[axis] for s in self.strides) for axis in range(self.dims))


def _grown(spec: NetworkSpec) -> tuple[int, ...]:
    """Features of a dense encoder: each stage halves what came before (but the stem) and adds its layers."""
    features = [spec.features[0]]
    for stage, layers in enumerate(spec.encoder_blocks[1:]):
        before = features[-1] if stage == 0 else features[-1] // 2
        features.append(before + layers * (spec.growth or 0))
    return tuple(features)


class Sampling(Record):
    """How a scan comes onto a configuration's grid. The defaults are nnU-Net's, and what is planned here.

    order   of the splines: 3 cubic, 1 linear
    keeps   the extent: outer faces stay, the spacing gives way to whole voxels; or the first_voxel: its
            centre stays and the spacing is exact
    across  thick slices (spacings that differ threefold): the nearest one, or interpolated like the rest
    reads   what is interpolated on the way back to the scan: logits, or probabilities
    middle  of a window, about which its weights are a Gaussian: between voxels where the edge is even, or as
            nnU-Net has it: the voxel after, nothing beyond four sd, weights in float16
    """

    order: Literal[1, 3] = 3
    keeps: Literal["extent", "first_voxel"] = "extent"
    across: Literal["nearest", "interpolated"] = "nearest"
    reads: Literal["logits", "probabilities"] = "logits"
    middle: Literal["between", "voxel"] = "between"


class Configuration(Record):
    """One way to learn the dataset: a resolution, a patch, a batch, a network.

    All triples run along (i, j, k) of the scans after they were turned to `Plan.orientation`.
    A 2D configuration has a `slice_axis`: slices across it are the images, `patch` is 1 along it,
    and its spacing is never changed.
    """

    spacing: tuple[Positive, Positive, Positive]  # mm; of slice_axis: ignored, slices stay
    median_shape: Shape  # voxels of the median case at this spacing
    patch: tuple[Count, Count, Count]
    batch: Count
    slice_axis: Axis | None = None
    network: NetworkSpec
    batch_dice: bool  # Dice over the batch as one image, rather than per patch
    previous: ConfigurationName | None = None  # cascade: whose labels are further input channels
    sampling: Sampling = Field(default=Sampling(), exclude_if=lambda value: value == Sampling())

    @model_validator(mode="after")
    def _patch_fits(self) -> Self:
        divisor = self.network.divisor
        edges = self.edges
        if self.slice_axis is not None and self.patch[self.slice_axis] != 1:
            raise ValueError(f"patch {list(self.patch)} is not 1 along slice_axis {self.slice_axis}")
        if len(edges) != len(divisor):
            raise ValueError(f"a {len(divisor)}D network does not fit a {len(edges)}D patch")
        wrong = [e for e, d in zip(edges, divisor, strict=True) if e % d]
        if wrong:
            raise ValueError(f"patch {list(self.patch)} is not a multiple of {list(divisor)}")
        image = self.network.image
        if image is not None and image != edges:
            raise ValueError(
                f"patch {list(self.patch)} is not the image {list(image)} of {self.network.kind}"
            )
        return self

    @property
    def edges(self) -> tuple[int, ...]:
        """The patch as the network sees it: two edges in 2D, three in 3D."""
        return tuple(n for axis, n in enumerate(self.patch) if axis != self.slice_axis)


class Shifts(Record):
    """Random changes of intensity that stand for other scanners and protocols; values in sd of the scan.

    Each channel of a sample that is changed is changed with half the probability of being left alone.
    Bumps are Gaussian: centre and width in shares of the patch, widths drawn evenly by their logarithm.
    """

    offset_probability: Probability
    offset_sd: Positive  # of a number that is added
    gradient_probability: Probability
    gradient: Interval  # height of a bump that is added, up or down
    local_gamma_probability: Probability
    local_gamma_down: Interval  # power inside a bump, either of these
    local_gamma_up: Interval
    bump_centre: Interval
    bump_width: Interval
    sharpen_probability: Probability
    sharpen: Interval  # how much of what a blur takes away is added


class Augmentation(Record):
    """Probabilities and ranges of the random changes made in training (method: nnU-Net 2.8).

    Angles in degrees; an interval is drawn from uniformly. `preset` names where the numbers are from.
    """

    preset: str = "nnunet"
    rotation_probability: Probability = 0.2
    rotation_deg: Interval = (-30.0, 30.0)
    scale_probability: Probability = 0.2
    scale: Interval = (0.7, 1.4)
    elastic_probability: Probability = 0.0
    elastic_displacement_mm: Interval = (1.0, 4.0)
    elastic_grid_mm: Positive = 24.0
    noise_probability: Probability = 0.1
    noise_sd: Interval = (0.0, 0.1)  # nnU-Net names it a variance and uses it as a standard deviation
    blur_probability: Probability = 0.2
    blur_sigma: Interval = (0.5, 1.0)
    brightness_probability: Probability = 0.15
    brightness: Interval = (0.75, 1.25)
    contrast_probability: Probability = 0.15
    contrast: Interval = (0.75, 1.25)
    low_resolution_probability: Probability = 0.25
    low_resolution: Interval = (0.5, 1.0)
    gamma_inverted_probability: Probability = 0.1
    gamma_probability: Probability = 0.3
    gamma: Interval = (0.7, 1.5)
    mirror_probability: Probability = 0.5
    flat_axis: Axis | None = None  # rotate and low-resolve only in the other two axes
    shifts: Shifts | None = Field(default=None, exclude_if=lambda value: value is None)  # preset heavy

    @model_validator(mode="after")
    def _intervals(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} is an interval (low, high), got {list(value)}")
        return self


class Training(Record):
    """How the weights of one fold of one configuration are found.

    Either `steps` or `minutes` ends the training, never both.
    """

    optimizer: OptimizerName
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    momentum: Probability = 0.99  # sgd and muon (Nesterov) only
    schedule: Literal["poly", "cosine", "step", "constant", "one_cycle"]
    warmup: Probability = 0.0  # share of the training in which the rate rises from 0; one_cycle: 0 is 0.3
    step_factor: Positive = 0.1  # schedule "step": the rate is multiplied by this
    step_every: Probability = 0.33  # ... after each such share of the training
    steps: Count | None = None
    minutes: Positive | None = None
    validate_every: Count = 250  # steps
    validation_batches: Count = 50
    accumulate: Count = 1  # batches whose gradients are added up for one step, as if they were one
    loss: Literal[LossName, OwnLoss] = "dice_ce"
    class_weights: tuple[Positive, ...] | None = None  # one per output, for the weighted losses
    hard_cases: Probability = 0.0  # share of the samples whose case is drawn by its last loss
    freeze: Literal["none", "encoder"] = "none"  # what does not learn at first
    thaw_after: Probability = 1.0  # share of the training after which it learns too; 1 is never
    encoder_rate: Positive = 1.0  # of the learning rate, for the encoder
    foreground: Probability = 0.33  # share of the patches of a batch that must hold foreground
    patches: Literal["foreground", "classes"] = "foreground"  # classes: background is one of them
    targets: Literal["reference", "raters"] = "reference"  # raters: the share of them who said so
    pseudo_weight: Annotated[float, Field(gt=0, le=1)] = 1.0  # how often labels of models are drawn
    channel_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of each channel of each sample; one stays
    clip: Positive = 12.0  # gradient norm
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # weight averaging: decay per step, 0 is off
    patience: Count | None = None  # validations without a new best after which training stops
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "auto"
    mirror_axes: tuple[Axis, ...] = (0, 1, 2)  # for augmentation and for test-time mirroring
    seed: int = 12345

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes: one of them ends the training")
        return self

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if self.loss in WEIGHTED and self.class_weights is None:
            raise ValueError(
                f"loss {self.loss!r} needs class_weights, one per output, and there are none: set them by "
                "hand, or make the plan again (where labels have no ignore label, the planner counts them)"
            )
        return self


class Plan(Record):
    """What was decided for a dataset."""

    version: Literal[1] = 1
    dataset: str
    fingerprint: str  # digest of the fingerprint that the plan was made from
    labels: LabelSchema
    channels: Annotated[tuple[ChannelPlan, ...], Field(min_length=1)]
    may_lack: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)  # some cases did
    orientation: str  # scans are turned to lie so ("RAS", or STORED); nothing is interpolated
    crop_to_nonzero: bool = True
    normalized: Literal["scanned", "resampled"] = Field(  # which voxels are measured and changed
        default="scanned", exclude_if=lambda value: value == "scanned"
    )
    configurations: dict[ConfigurationName, Configuration]
    use: Annotated[
        tuple[ConfigurationName, ...], Field(min_length=1)
    ]  # which of them `run` trains, in this order
    folds: Count = 5
    train_folds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    augmentation: dict[ConfigurationName, Augmentation]
    training: Training
    reasons: dict[str, str]  # path of a field -> why it has this value

    @model_validator(mode="after")
    def _refers_to_itself(self) -> Self:
        for name in self.use:
            if name not in self.configurations:
                raise ValueError(f"use names {name!r}; there are {sorted(self.configurations)}")
        for name, configuration in self.configurations.items():
            before = configuration.previous
            if before is not None and (before == name or before not in self.configurations):
                raise ValueError(f"configurations.{name}.previous is {before!r}, which is no other one here")
        if set(self.augmentation) != set(self.configurations):
            raise ValueError(
                f"augmentation needs one entry per configuration, {sorted(self.configurations)}, "
                f"got {sorted(self.augmentation)}"
            )
        folds = self.train_folds
        if any(fold >= self.folds or fold < 0 for fold in folds) or len(set(folds)) != len(folds):
            raise ValueError(f"train_folds are different numbers below {self.folds}, got {list(folds)}")
        strange = sorted(set(self.may_lack) - {channel.name for channel in self.channels})
        if strange:
            raise ValueError(f"may_lack names {', '.join(strange)}, which is no channel")
        self._refuse_mixed()
        weights, outputs = self.training.class_weights, self.labels.outputs
        if weights is not None and len(weights) != len(outputs):
            raise ValueError(f"class_weights are one per output ({', '.join(outputs)}), got {len(weights)}")
        return self

    def _refuse_mixed(self) -> None:
        """Networks that find objects bring their own loss, and are not averaged with others."""
        used = [self.configurations[name].network for name in self.use]
        own = [network.kind for network in used if network.finds_objects]
        if not own:
            if self.training.loss == "mask_rcnn":
                raise ValueError("training.loss 'mask_rcnn' belongs to the network mask_rcnn")
            return
        kinds, training = [network.kind for network in used], self.training
        if (kinds, training.loss) != (own[:1], own[0]):
            raise ValueError(
                f"{own[0]} is used alone, with the loss of that name; got {kinds}, {training.loss!r}"
            )
        if training.accumulate > 1 or training.targets != "reference":
            raise ValueError(
                f"{own[0]} learns one reference, from batches that are whole: training.accumulate is 1 and "
                f"training.targets 'reference'; got {training.accumulate} and {training.targets!r}"
            )

    @property
    def finds_objects(self) -> bool:
        """Whether single objects are found; else a label for each voxel."""
        return self.configurations[self.first].network.finds_objects

    @property
    def first(self) -> ConfigurationName:
        """The configuration used where none is named."""
        return self.use[0]

    @property
    def dispensable(self) -> tuple[str, ...]:
        """Channels that a scan may lack: training went without them at times."""
        names = tuple(channel.name for channel in self.channels)
        dropped = len(names) > 1 and self.training.channel_dropout > 0
        return names if dropped else tuple(name for name in names if name in self.may_lack)

    def configuration(self, name: str | None = None) -> Configuration:
        """A configuration by name, or the first that the plan uses."""
        for known, configuration in self.configurations.items():
            if known == (name or self.first):
                return configuration
        raise PlanError(f"the plan has no configuration {name!r}; it has {', '.join(self.configurations)}")

    def set_by_hand(self, path: str, value: Any) -> Plan:
        """A copy with the field at `path` set, which `reasons` then says.

        `path` is dotted, with numbers for list items ("configurations.3d_fullres.batch",
        "channels.0.denoise.rule"); "batch" alone and other unique endings are completed, in the first
        configuration that the plan uses. Lists are given as lists. Everything is checked again.

        Raises:
            PlanError: no such field, or several.
            RecordError: the plan does not hold together with this value.
        """
        tree = self.model_dump(mode="json")
        full = _completed(tree, path)
        *parents, last = full.split(".")
        node: Any = tree
        for part in parents:
            node = node[int(part) if isinstance(node, list) else part]
        key: Any = int(last) if isinstance(node, list) else last
        before, node[key] = node[key], value
        if full in ("training.steps", "training.minutes") and value is not None:
            node["minutes" if last == "steps" else "steps"] = None
        tree["reasons"][full] = f"{BY_HAND} (was {json.dumps(before)})"
        changed = type(self).from_json(json.dumps(tree), where=f"plan with {full} = {json.dumps(value)}")
        if self.reasons.get(full, "").startswith(BY_HAND) and changed.but(reasons=self.reasons) == self:
            return self  # asked for again: the reason goes on naming what the planner had chosen
        return changed


BY_HAND = "set by hand"
NOT_SET = ("reasons", "version", "dataset", "fingerprint", "labels")  # facts: no business of a hand


def _paths(tree: Any, prefix: str = "") -> list[str]:
    """Every path in a tree of records, those that hold further ones included."""
    items: Any = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        items = enumerate(tree)
    found = [prefix] if prefix else []
    for key, item in items:
        if prefix or key not in NOT_SET:
            found += _paths(item, f"{prefix}.{key}" if prefix else str(key))
    return found


def _completed(tree: dict[str, Any], path: str) -> str:
    known = _paths(tree)
    if path in known:
        return path
    endings = [name for name in known if name.endswith("." + path)]
    if len(endings) > 1:  # the same word in several configurations: the one in use is meant
        used = [name for name in endings if tree["use"][0] in name.split(".")]
        endings = used if len(used) == 1 else endings
    if len(endings) == 1:
        return endings[0]
    if endings:
        some = ", ".join(endings[:5]) + (", ..." if len(endings) > 5 else "")
        raise PlanError(f"{path!r} is not unique in the plan: {some}. Give more of it.")
    near = difflib.get_close_matches(path, {name.rpartition(".")[2] for name in known} | set(known), 3)
    hint = f"Near to it: {', '.join(near)}." if near else "Open plan.json to see the fields."
    raise PlanError(f"the plan has no field {path!r} that can be set. {hint}")


def describe_spacing(spacing: Spacing) -> str:
    """A spacing in words: 0.9 x 0.9 x 3 mm."""
    return " x ".join(f"{s:.3g}" for s in spacing) + " mm"
