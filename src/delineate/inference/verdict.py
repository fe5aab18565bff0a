"""Verdict: which label each voxel gets, from the logits of all configurations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.inference.planes import PlaneSource
from delineate.space import LabelSchema, Shape
from delineate.space.labels import Values

PART = 2**22  # logits in memory at once where classes are compared; below what malloc asks the system for


@dataclass(frozen=True, eq=False)
class Verdict:
    """Label values (i, j, k) and, where they were asked for, the probabilities (class, i, j, k).

    windows   how many there were
    repeated  those of them that held the same as another, and were not predicted again
    """

    values: Values
    probabilities: npt.NDArray[np.float32] | None
    windows: int = 0
    repeated: int = 0


def decided(
    planes: Sequence[PlaneSource], shape: Shape, axis: int, schema: LabelSchema, *, keep: bool
) -> Verdict:
    """The verdict on a grid of `shape`, plane by plane across `axis`, on the mean over `planes`.

    keep  whether the probabilities are kept
    """
    values = np.zeros(shape, _table(schema).dtype)
    across = np.moveaxis(values, axis, 0)
    if schema.exclusive and len(planes) == 1 and not keep:  # the largest logit is the most probable
        parts = _parts(len(schema.outputs), across[0].size)
        for number, into in enumerate(across):
            found = winner(planes[0].plane(number, classes) for classes in parts)
            into[...] = _table(schema)[found.cpu().numpy()]
        return Verdict(values, None)
    kept = np.zeros((len(schema.outputs), *shape), np.float32) if keep else None
    for number, into in enumerate(across):
        scores = mean_probabilities([each.plane(number, slice(None)) for each in planes], schema)
        into[...] = values_of(scores, schema)
        if kept is not None:
            np.moveaxis(kept, axis + 1, 1)[:, number] = scores.cpu().numpy()
    return Verdict(values, kept)


def mean_probabilities(logits: Sequence[Tensor], schema: LabelSchema) -> Tensor:
    """The mean probability (class, ...) over configurations, each by its logits (class, ...)."""
    first, *others = (
        torch.softmax(scores, dim=0) if schema.exclusive else torch.sigmoid(scores) for scores in logits
    )
    for each in others:
        first += each
    return first.div_(len(logits))


def values_of(probabilities: Tensor, schema: LabelSchema) -> Values:
    """Label values (...) from probabilities (class, ...): what `schema.decode` gives, sooner."""
    if not schema.exclusive:
        return schema.decode(probabilities.cpu().numpy())
    return np.asarray(_table(schema)[winner([probabilities]).cpu().numpy()])


def winner(parts: Iterable[Tensor]) -> Tensor:
    """The class (...) with the highest score; of equal ones the first.

    parts  scores (class, ...) of the first classes, of the next, and so on

    Class by class, because `argmax` across the slowest axis takes ten times as long on a CPU.
    """
    best: Tensor | None = None
    index, before = torch.empty(0), 0
    for scores in parts:
        top = scores.amax(dim=0)
        here = _first_of(scores, top) + before
        if best is None:
            best, index = top, here
        else:
            index = torch.where(top > best, here, index)
            best = torch.maximum(best, top)
        before += len(scores)
    return index


def _first_of(scores: Tensor, value: Tensor) -> Tensor:
    """The first class whose score is `value`."""
    count = len(scores)
    kind = torch.uint8 if count < 256 else torch.int16
    code = torch.zeros(value.shape, dtype=kind, device=scores.device)
    for number, score in enumerate(scores):
        torch.maximum(code, (score == value).to(kind).mul_(count - number), out=code)
    return count - code.to(torch.int32)


def _parts(classes: int, voxels: int) -> tuple[slice, ...]:
    """The classes in slices of which a plane of `voxels` fits into `PART`."""
    step = max(1, PART // voxels)
    return tuple(slice(start, start + step) for start in range(0, classes, step))


def _table(schema: LabelSchema) -> Values:
    """The label value of each output."""
    kind = np.uint8 if max(schema.values) < 256 else np.uint16
    return np.array([0, *(label.value for label in schema.labels)], kind)
