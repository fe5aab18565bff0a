"""Puzzles: batches of pretraining. Patches, what was done to them, and how they were.

As in training every sample is made from its own random generator: the patch from
`default_rng((seed, fold, step, index))`, what is done to it from that with one more number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from delineate.networks import PretrainingTask
from delineate.preparation.patches import Batch, Sampler
from delineate.training.pretrain.blocks import Mask, draw_mask
from delineate.training.pretrain.genesis import Changes, draw_changes

PUZZLE = 1  # the further number


@dataclass(frozen=True)
class Puzzles:
    """Makes any batch of a pretraining, by its number.

    task    "mae": blocks are hidden; "genesis": values are bent, shuffled and painted over
    hidden  share of the blocks (mae)
    block   its edges (mae)
    """

    sampler: Sampler
    task: PretrainingTask
    hidden: float
    block: tuple[int, ...]

    def shared(self, rank: int, processes: int) -> Puzzles:
        """What one of several processes makes; together they make the same batches as one."""
        return replace(self, sampler=self.sampler.shared(rank, processes))

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch:
        """The batch of a step: images as they are seen; for labels, as they were and where it counts."""
        whole = self.sampler.batch(step, device)
        rank, processes = self.sampler.share
        pairs = [
            self._made(image, step, rank + number * processes) for number, image in enumerate(whole.images)
        ]
        images, labels = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        return replace(whole, images=images, labels=labels)

    def _made(self, image: Tensor, step: int, index: int) -> tuple[Tensor, Tensor]:
        """(channel, *edges) as it is seen; (channel + 1, *edges) as it was, and where it is compared."""
        changed, compared = self.draw(step, index, tuple(image.shape[1:])).apply(image)
        return changed, torch.cat([image, compared[None].to(image.dtype)])

    def draw(self, step: int, index: int, edges: tuple[int, ...]) -> Mask | Changes:
        """What is done to a sample."""
        rng = np.random.default_rng((self.sampler.seed, self.sampler.fold, step, index, PUZZLE))
        if self.task == "mae":
            return draw_mask(rng, edges, self.block, self.hidden)
        return draw_changes(rng, edges)
