"""Mask R-CNN: first where objects may be, then what each is, its box and its outline.

Source: He 2017, doi:10.1109/ICCV.2017.322, with the pyramid of Lin 2017, arXiv:1612.03144. The encoder is our
residual one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from delineate.networks.blocks import ConvBlock, Edges, encoded, residual_blocks
from delineate.networks.mask_rcnn.anchors import anchors
from delineate.networks.mask_rcnn.boxes import change
from delineate.networks.mask_rcnn.heads import AnchorHead, BoxHead, MaskHead
from delineate.networks.mask_rcnn.proposals import BOX_WEIGHTS, Found, proposed, refined, told_apart
from delineate.networks.mask_rcnn.pyramid import Pyramid
from delineate.networks.mask_rcnn.roi_align import pyramid_align
from delineate.networks.mask_rcnn.targets import (
    ANCHORS_THAT_ARE,
    REGIONS_THAT_ARE,
    drawn,
    matched_anchors,
    matched_regions,
    noise,
    outlines,
)
from delineate.networks.mask_rcnn.truth import Truth, truth_of
from delineate.networks.unet import check_bottleneck, check_edges, divisor

BOX_CELLS, MASK_CELLS = 7, 14  # the features of a region for its box and for its mask; He 2017


class Counts(NamedTuple):
    """How many: anchors of a patch that are compared, proposals, regions compared, objects of a window."""

    compared: int
    proposals: int
    regions: int
    objects: int


class Answers(NamedTuple):
    """What was said in a training step, beside what is true; `of_` is the number of the sample.

    objectness, is_object   (anchor,) logits and 0 or 1
    shifts, true_shifts     (anchor that is one, 4)
    kinds, true_kinds       (region, output) logits and (region,) label indices, 0 is background
    changes, true_changes   (region that is one, 4)
    masks, true_masks       (region that is one, 2 cells, 2 cells) logits and 0 or 1
    """

    samples: int
    objectness: Tensor
    is_object: Tensor
    of_anchor: Tensor
    shifts: Tensor
    true_shifts: Tensor
    of_shift: Tensor
    kinds: Tensor
    true_kinds: Tensor
    of_region: Tensor
    changes: Tensor
    true_changes: Tensor
    masks: Tensor
    true_masks: Tensor
    of_mask: Tensor


class Judged(NamedTuple):
    """Answers, and the objects found in each image without knowing the truth."""

    answers: Answers
    found: list[Found]


class MaskRCNN(nn.Module):
    """Takes images (image, channel, i, j); gives the objects of each, or answers where the truth is given.

    level   the stage of the encoder at which the pyramid begins
    width   channels of the pyramid; hidden: of the layers that tell kinds apart
    sizes   per level, the sizes of its anchors in voxels; `ratios` of their edges
    """

    def __init__(  # noqa: PLR0913 - encoder, pyramid, anchors
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        encoder_blocks: tuple[int, ...],
        *,
        level: int,
        width: int,
        hidden: int,
        sizes: tuple[tuple[float, ...], ...],
        ratios: tuple[float, ...],
        counts: Counts,
    ) -> None:
        super().__init__()
        self.divisor = divisor(strides)
        self.level, self.sizes, self.ratios, self.counts = level, sizes, ratios, counts
        self.strides = [divisor(strides[: n + 1]) for n in range(level, len(strides))]
        self.stem = ConvBlock(in_channels, features[0], kernels[0], (1,) * len(kernels[0]))
        given = (features[0], *features)
        self.encoder = nn.ModuleList(
            residual_blocks(*stage)
            for stage in zip(encoder_blocks, given, features, kernels, strides, strict=False)
        )
        self.pyramid = Pyramid(features[level:], width)
        self.anchor_head = AnchorHead(width, max(map(len, sizes)) * len(ratios))
        self.box_head = BoxHead(width, BOX_CELLS, hidden, out_channels)
        self.mask_head = MaskHead(width, out_channels)

    def forward(
        self, x: Tensor, labels: Tensor | None = None, seeds: Tensor | None = None
    ) -> list[Found] | Answers | Judged:
        """The objects of each image; with the truth answers in training, and both in `eval()`.

        labels  (image, 2, i, j) label indices and ids of objects
        seeds   (image,) whole numbers that decide what is compared
        """
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        pyramid = self.pyramid(encoded(self.encoder, self.stem(x))[self.level :])
        grids = self._anchors(pyramid)
        logits, changes = self._seen(pyramid)
        with torch.no_grad():
            proposals = self._proposed(logits, changes, grids, edges)
        if labels is None or seeds is None:
            return self._found(pyramid, proposals, edges)
        truths = [truth_of(one) for one in labels]
        every = torch.cat(grids)
        answers = self._answers(pyramid, (logits, changes, every), proposals, truths, seeds.tolist())
        return answers if self.training else Judged(answers, self._found(pyramid, proposals, edges))

    def _anchors(self, pyramid: list[Tensor]) -> list[Tensor]:
        """The anchors of each level."""
        device = pyramid[0].device
        return [
            anchors(tuple(level.shape[2:]), stride, sizes, self.ratios).to(device)
            for level, stride, sizes in zip(pyramid, self.strides, self.sizes, strict=True)
        ]

    def _seen(self, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (image, anchor) and changes (image, anchor, 4) of all levels."""
        seen = [
            self.anchor_head(level, len(sizes) * len(self.ratios))
            for level, sizes in zip(pyramid, self.sizes, strict=True)
        ]
        return torch.cat([one for one, _ in seen], 1), torch.cat([one for _, one in seen], 1)

    def _proposed(
        self, logits: Tensor, changes: Tensor, grids: list[Tensor], edges: tuple[int, ...]
    ) -> list[Tensor]:
        levels, every = [len(grid) for grid in grids], torch.cat(grids)
        count = self.counts.proposals
        return [
            proposed(one, by, every, levels, edges, count) for one, by in zip(logits, changes, strict=True)
        ]

    def _read(self, pyramid: list[Tensor], regions: list[Tensor], cells: int) -> Tensor:
        """The features of the regions (n, 4) of each image, one image after the other."""
        return pyramid_align(pyramid, torch.cat(regions), numbered(regions), self.strides, cells)

    def _found(self, pyramid: list[Tensor], proposals: list[Tensor], edges: tuple[int, ...]) -> list[Found]:
        """The objects of each image."""
        kinds, changes = self.box_head(self._read(pyramid, proposals, BOX_CELLS))
        sizes = [len(one) for one in proposals]
        several = zip(proposals, kinds.split(sizes), changes.split(sizes), strict=True)
        apart = [
            told_apart(refined(boxes, by, edges), logits, self.counts.objects)
            for boxes, logits, by in several
        ]
        regions, kind = [boxes for boxes, _, _ in apart], torch.cat([kind for _, _, kind in apart])
        masks = self.mask_head(self._read(pyramid, regions, MASK_CELLS), kind).sigmoid()
        split = masks.split([len(boxes) for boxes in regions])
        return [Found(*one, mask) for one, mask in zip(apart, split, strict=True)]

    def _answers(
        self,
        pyramid: list[Tensor],
        seen: tuple[Tensor, Tensor, Tensor],
        proposals: list[Tensor],
        truths: list[Truth],
        seeds: list[int],
    ) -> Answers:
        """What is said of the anchors and regions that are compared."""
        first = [
            _of_anchors(logits, changes, seen[2], truth, self.counts.compared, seed)
            for logits, changes, truth, seed in zip(seen[0], seen[1], truths, seeds, strict=True)
        ]
        with torch.no_grad():
            second = [
                _Regions.of(boxes, truth, self.counts.regions, seed)
                for boxes, truth, seed in zip(proposals, truths, seeds, strict=True)
            ]
        kinds, changes = self.box_head(self._read(pyramid, [one.boxes for one in second], BOX_CELLS))
        sure = torch.cat([one.is_object for one in second])
        true_kinds = torch.cat([one.kinds for one in second])
        objects = [one.boxes[one.is_object] for one in second]
        masks = self.mask_head(self._read(pyramid, objects, MASK_CELLS), true_kinds[sure])
        objectness, is_object, shifts, true_shifts = (list(parts) for parts in zip(*first, strict=True))
        return Answers(
            samples=len(truths),
            objectness=torch.cat(objectness),
            is_object=torch.cat(is_object),
            of_anchor=numbered(objectness),
            shifts=torch.cat(shifts),
            true_shifts=torch.cat(true_shifts),
            of_shift=numbered(shifts),
            kinds=kinds,
            true_kinds=true_kinds,
            of_region=numbered([one.boxes for one in second]),
            changes=changes[sure],
            true_changes=torch.cat([one.changes for one in second]),
            masks=masks,
            true_masks=torch.cat([one.masks for one in second]),
            of_mask=numbered(objects),
        )


def _of_anchors(
    logits: Tensor, changes: Tensor, anchors: Tensor, truth: Truth, count: int, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits and what is true of the anchors compared; shifts and the true ones of those that are objects."""
    with torch.no_grad():
        match = matched_anchors(anchors, truth)
        chosen = drawn(match, count, ANCHORS_THAT_ARE, noise(len(anchors), seed, anchors.device))
        mine = chosen.numbers[: chosen.objects]
        is_object = torch.zeros(len(chosen.numbers), device=anchors.device)
        is_object[: chosen.objects] = 1
        true = change(anchors[mine], truth.boxes[match.which[mine]])
    return logits[chosen.numbers], is_object, changes[mine], true


class _Regions(NamedTuple):
    """The regions of one patch that are compared, and what is true of them."""

    boxes: Tensor
    kinds: Tensor
    is_object: Tensor
    changes: Tensor
    masks: Tensor

    @classmethod
    def of(cls, proposals: Tensor, truth: Truth, count: int, seed: int) -> _Regions:
        """Drawn among the proposals and the objects themselves, which would be rare at first."""
        every = torch.cat([truth.boxes, proposals])
        match = matched_regions(every, truth)
        chosen = drawn(match, count, REGIONS_THAT_ARE, noise(len(every), seed, every.device))
        boxes, which = every[chosen.numbers], match.which[chosen.numbers[: chosen.objects]]
        kinds = torch.zeros(len(boxes), dtype=torch.long, device=every.device)
        kinds[: chosen.objects] = truth.kinds[which]
        objects = boxes[: chosen.objects]
        weights = boxes.new_tensor(BOX_WEIGHTS)
        return cls(
            boxes,
            kinds,
            kinds > 0,
            change(objects, truth.boxes[which]) * weights,
            outlines(truth, which, objects, 2 * MASK_CELLS),
        )


def numbered(parts: list[Tensor]) -> Tensor:
    """(n,) the number of the part to which each row belongs."""
    counts = torch.tensor([len(part) for part in parts], device=parts[0].device)
    return torch.arange(len(parts), device=parts[0].device).repeat_interleave(counts)
