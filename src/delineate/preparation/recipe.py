"""Recipe: everything that happens to a patch between the store and the network.

`draw` decides for one sample, from its own random generator, and says how large a box to read. `apply`
makes the batch, on the device of the tensors it is given. The order is nnU-Net's: deform (one
interpolation for all of it), noise, blur, brightness, contrast, low resolution, gamma from the top,
gamma, mirror; then channels that were normalised within a mask are zero again where they were, those that
the case lacks or that are dropped are zero all over, and the labels of a previous stage become channels.

Channels dropped at random teach a network to do without: Neverova 2016, ModDrop,
doi:10.1109/TPAMI.2015.2461544. At least one of those that are there stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from delineate.errors import GeometryError, PlanError
from delineate.planning.plan import Augmentation, ConfigurationName, Plan
from delineate.preparation.appearance import draw_changes
from delineate.preparation.cascade import Corruption, draw_corruption, one_hot
from delineate.preparation.deform import Deform, Edges, Reading, draw_deform
from delineate.preparation.shares import Table, averaged, table_of
from delineate.preparation.transform import Change, Mirror, draw_mirror, draw_seed, happens


@dataclass(frozen=True, eq=False)
class Cutout:
    """What was read from a case for one sample: a box whose centre is that of the patch.

    image     (channel, *box) float32
    labels    (*box) whole numbers: 0 background, n the n-th label, -1 unknown
    previous  (*box) labels of the previous stage of a cascade
    objects   (*box) ids of single objects
    drawn     (rater, *box) labels of each of several raters
    """

    image: Tensor
    labels: Tensor
    previous: Tensor | None = None
    objects: Tensor | None = None
    drawn: Tensor | None = None

    def on(self, device: torch.device) -> Cutout:
        """The same on a device."""
        further = (self.previous, self.objects, self.drawn)
        moved = (None if one is None else one.to(device) for one in further)
        return Cutout(self.image.to(device), self.labels.to(device), *moved)


@dataclass(frozen=True)
class Draw:
    """Everything that was drawn for one sample."""

    edges: Edges
    deform: Deform
    changes: tuple[Change, ...]
    mirror: Mirror
    corruption: Corruption | None = None
    absent: tuple[int, ...] = ()  # channels that are 0 all over: the case lacks them, or they are dropped
    seed: int | None = None  # of what the network draws, where single objects are learnt

    @property
    def reach(self) -> Edges:
        """The edges of the box to read, centred on the patch."""
        return self.deform.reach(self.edges)


@dataclass(frozen=True)
class Recipe:
    """How samples are made for one network.

    Axes are those of the network: a 2D network has two.

    augmentation     probabilities and ranges, or None where nothing is random (validation)
    edges            of the patch
    spacing          mm along each axis
    channels         of the image
    mirror_axes      axes that may be mirrored
    masked_channels  channels whose zeros mean "outside the patient" and stay zeros
    outside_label    what the label is beyond the scan: 0 background, or -1 unknown
    previous_labels  labels of the previous stage, each an input channel after those of the image
    channel_dropout  how likely each channel of a sample is dropped
    has_objects      whether single objects are learnt: their ids go the way of the labels
    shares           the outputs of each label index, where labels are the shares of several raters
    """

    augmentation: Augmentation | None
    edges: Edges
    spacing: tuple[float, ...]
    channels: int = 1
    mirror_axes: tuple[int, ...] = ()
    masked_channels: tuple[int, ...] = ()
    outside_label: int = 0
    previous_labels: int = 0
    channel_dropout: float = 0.0
    has_objects: bool = False
    shares: Table = ()

    def __post_init__(self) -> None:
        flat = None if self.augmentation is None else self.augmentation.flat_axis
        if flat is not None and len(self.edges) == 2:
            raise PlanError(
                f"augmentation.flat_axis is {flat}, expected null: a 2D configuration has no axis that "
                "stays flat. Remove it from the plan."
            )

    @classmethod
    def of(cls, plan: Plan, name: ConfigurationName) -> Self:
        """The recipe that a plan gives for one of its configurations."""
        configuration = plan.configuration(name)
        kept = [axis for axis in range(3) if axis != configuration.slice_axis]
        masked = [n for n, channel in enumerate(plan.channels) if channel.normalization.masked]
        return cls(
            plan.augmentation[name],
            edges=configuration.edges,
            spacing=tuple(configuration.spacing[axis] for axis in kept),
            channels=len(plan.channels),
            mirror_axes=tuple(n for n, axis in enumerate(kept) if axis in plan.training.mirror_axes),
            masked_channels=tuple(masked),
            outside_label=0 if plan.labels.ignore is None else -1,
            previous_labels=len(plan.labels.labels) if configuration.previous else 0,
            channel_dropout=plan.training.channel_dropout,
            has_objects=configuration.network.finds_objects,
            shares=table_of(plan.labels) if plan.training.targets == "raters" else (),
        )

    @property
    def still(self) -> Recipe:
        """The same recipe with nothing random in it: for validation."""
        return replace(self, augmentation=None, channel_dropout=0.0)

    @property
    def has_unknown(self) -> bool:
        """Whether some voxels may be unknown: the schema has an ignore label."""
        return self.outside_label < 0

    @property
    def inputs(self) -> int:
        """Channels that the network gets."""
        return self.channels + self.previous_labels

    def draw(self, rng: np.random.Generator, missing: tuple[int, ...] = ()) -> Draw:
        """What happens to one sample of a case, which may lack channels; always drawn in the same order."""
        draw = self._draw(rng)
        absent = draw_absent(rng, self.channels, self.channel_dropout, missing)
        return replace(draw, absent=absent, seed=draw_seed(rng) if self.has_objects else None)

    def _draw(self, rng: np.random.Generator) -> Draw:
        a, dims = self.augmentation, len(self.edges)
        if a is None:
            return Draw(self.edges, Deform(tuple(range(dims))), (), Mirror((False,) * dims))
        deform = draw_deform(rng, a, self.spacing)
        changes = draw_changes(rng, a, self.channels, dims)
        mirror = draw_mirror(rng, dims, self.mirror_axes, a.mirror_probability)
        if not self.previous_labels:
            return Draw(self.edges, deform, changes, mirror)
        corruption = draw_corruption(rng, self.previous_labels, self.spacing)
        return Draw(self.edges, deform, changes, mirror, corruption)

    def apply(self, cutouts: Sequence[Cutout], draws: Sequence[Draw]) -> tuple[Tensor, Tensor]:
        """Images (sample, channel, *edges) float32 and labels (sample, *edges) int64.

        With objects labels are (sample, 2, *edges): label indices and ids. Of several raters they are
        (sample, output, *edges) float32: the share who said so, -1 where nobody annotated.
        """
        first, edges = cutouts[0].image, (2, *self.edges) if self.has_objects else self.edges
        images = first.new_empty((len(cutouts), self.inputs, *self.edges), dtype=torch.float32)
        labels = torch.empty((len(cutouts), *edges), dtype=torch.int64, device=first.device)
        for cutout, draw, image, label in zip(cutouts, draws, images, labels, strict=True):
            self._check(cutout, draw)
            reading = draw.deform.reading(self.edges, draw.reach, first.device)
            image[: self.channels] = self._image(reading.image(cutout.image), draw)
            maps = self._labels(cutout, reading, draw)
            label.copy_(maps if self.has_objects else maps[0])
            if self.previous_labels:
                previous = maps[1] if draw.corruption is None else draw.corruption.apply(maps[1])
                image[self.channels :] = one_hot(previous, self.previous_labels)
        if self.shares:
            pairs = zip(cutouts, draws, strict=True)
            return images, torch.stack([self._shares(cutout, draw) for cutout, draw in pairs])
        return images, labels

    def _shares(self, cutout: Cutout, draw: Draw) -> Tensor:
        """(output, *edges): the average of the raters, each of whom went the way of labels."""
        maps = cutout.labels[None] if cutout.drawn is None else cutout.drawn
        reading = draw.deform.reading(self.edges, draw.reach, maps.device)
        maps = reading.labels(maps, outside=self.outside_label)
        if not self.has_unknown:
            maps = maps.clamp(min=0)
        return averaged(draw.mirror.apply(maps), self.shares)

    def _image(self, image: Tensor, draw: Draw) -> Tensor:
        outside = image[list(self.masked_channels)] == 0 if self.masked_channels else None
        for change in draw.changes:
            image = change.apply(image)
        if outside is not None and draw.changes:
            for channel, zeros in zip(self.masked_channels, outside, strict=True):
                image[channel].masked_fill_(zeros, 0)
        if draw.absent:
            image = image.index_fill(0, torch.tensor(draw.absent, device=image.device), 0)
        return draw.mirror.apply(image)

    def _labels(self, cutout: Cutout, reading: Reading, draw: Draw) -> Tensor:
        """(map, *edges): the labels; where there are, those of the previous stage or the ids of objects."""
        further = cutout.previous if self.previous_labels else cutout.objects if self.has_objects else None
        if further is None:
            maps = cutout.labels[None]
        else:
            kind = torch.promote_types(cutout.labels.dtype, further.dtype)
            maps = torch.stack([cutout.labels.to(kind), further.to(kind)])
        maps = reading.labels(maps, outside=self.outside_label)
        if not self.has_unknown:
            maps = maps.clamp(min=0)  # "unknown" beyond the patient is background
        return draw.mirror.apply(maps)

    def _check(self, cutout: Cutout, draw: Draw) -> None:
        image, labels, expected = tuple(cutout.image.shape), tuple(cutout.labels.shape), draw.reach
        if image != (self.channels, *expected) or labels != expected:
            raise GeometryError(
                f"this sample reads {self.channels} channels of {expected} voxels, "
                f"got an image of {image} and labels of {labels}"
            )
        if self.previous_labels and cutout.previous is None:
            raise GeometryError("this recipe needs the labels of the previous stage, got none")
        if self.has_objects and cutout.objects is None:
            raise GeometryError("this recipe needs the ids of objects, got none")


def draw_absent(
    rng: np.random.Generator, channels: int, probability: float, missing: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """Channels that are not there: those `missing`, and others dropped with `probability`; one stays."""
    if not probability:
        return missing
    there = [channel for channel in range(channels) if channel not in missing]
    dropped = [channel for channel in there if happens(rng, probability)]
    if len(dropped) == len(there):
        del dropped[int(rng.integers(len(dropped)))]
    return tuple(sorted((*missing, *dropped)))
