"""Mining: how hard each case was when last seen, and batches that are drawn by it.

What was measured between two validations decides what is drawn after the second, until the next: so a
batch is a function of its number and of what the checkpoint holds, however many are made ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from delineate.preparation.patches import Batch
from delineate.record import Record
from delineate.training.losses import Loss, Total

Hardness = Mapping[str, float]
Sums = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Mined:
    """Training batches that depend on how hard the cases are.

    ids    of all cases that may be drawn
    drawn  opens the batches from a step on, given the hardness of the cases seen so far
    """

    ids: tuple[str, ...]
    drawn: Callable[[int, Hardness], AbstractContextManager[Iterator[Batch]]]


class Found(Record):
    """What is known of the cases.

    hardness  what the draws go by: the mean loss when a case was last seen
    sums      since the last validation, by case: of the losses, and how many
    """

    hardness: dict[str, float] = Field(default_factory=dict)
    sums: dict[str, tuple[float, float]] = Field(default_factory=dict)

    def renewed(self) -> Found:
        """What the draws go by from now on."""
        fresh = {name: whole / count for name, (whole, count) in self.sums.items() if count}
        return Found(hardness=dict(sorted((self.hardness | fresh).items())))


@torch.no_grad()
def hardness_of(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """(sample,) how far each sample is from what it should be; 0 is perfect."""
    plain, best = replace(loss, distance=None), 1 if loss.region else 0
    totals = [plain(logits[n : n + 1], labels[n : n + 1]).total + best for n in range(len(logits))]
    return torch.stack(totals).clamp(min=0)


class Tally:
    """Sums of hardness by case, over all processes, where the loss is computed."""

    def __init__(
        self, ids: Sequence[str], device: torch.device, sums: Mapping[str, tuple[float, float]]
    ) -> None:
        self._number = {case_id: n for n, case_id in enumerate(ids)}
        rows = [sums.get(case_id, (0.0, 0.0)) for case_id in ids]
        self._sums = torch.tensor(rows, dtype=torch.float64, device=device)  # (case, 2)

    def add(self, batch: Batch, values: Tensor, total: Total) -> None:
        """Adds the samples of a batch."""
        numbers = torch.tensor([self._number[case_id] for case_id in batch.ids], device=values.device)
        members = functional.one_hot(numbers, len(self._number)).T.double()
        pairs = torch.stack([values.double(), torch.ones_like(values, dtype=torch.float64)], 1)
        self._sums += total(members @ pairs)

    def read(self) -> dict[str, tuple[float, float]]:
        """The sums of the cases that were seen."""
        rows = self._sums.tolist()
        pairs = {case_id: (rows[n][0], rows[n][1]) for case_id, n in self._number.items()}
        return {case_id: pair for case_id, pair in pairs.items() if pair[1]}

    def clear(self) -> None:
        """Begins anew."""
        self._sums.zero_()
