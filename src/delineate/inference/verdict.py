"""Verdict: which label each voxel gets, from the logits of all configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.inference.planes import PlaneSource
from delineate.space import LabelSchema, Shape
from delineate.space.labels import Values


@dataclass(frozen=True, eq=False)
class Verdict:
    """Label values (i, j, k) and, where they were asked for, the probabilities (class, i, j, k)."""

    values: Values
    probabilities: npt.NDArray[np.float32] | None


def decided(
    planes: Sequence[PlaneSource], shape: Shape, axis: int, schema: LabelSchema, *, keep: bool
) -> Verdict:
    """The verdict on a grid of `shape`, plane by plane across `axis`, on the mean over `planes`.

    keep  whether the probabilities are kept
    """
    values = np.zeros(shape, _kind(schema))
    kept = np.zeros((len(schema.outputs), *shape), np.float32) if keep else None
    raw = schema.exclusive and len(planes) == 1 and not keep  # the largest logit is the most probable
    for number, into in enumerate(np.moveaxis(values, axis, 0)):
        logits = [each.plane(number) for each in planes]
        scores = logits[0] if raw else mean_probabilities(logits, schema)
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


def values_of(scores: Tensor, schema: LabelSchema) -> Values:
    """Label values (...) from probabilities (class, ...), or from logits where classes exclude each other.

    The same as `schema.decode`, and several times as fast where there are many classes.
    """
    if not schema.exclusive:
        return schema.decode(scores.cpu().numpy())
    table = np.array([0, *(label.value for label in schema.labels)], _kind(schema))
    return np.asarray(table[winner(scores).cpu().numpy()])


def winner(scores: Tensor) -> Tensor:
    """The class (...) with the highest score of (class, ...); of equal ones the first.

    Class by class, because `argmax` across the slowest axis takes ten times as long on a CPU.
    """
    count = len(scores)
    kind = torch.uint8 if count < 256 else torch.int16
    best, code = scores.amax(dim=0), torch.zeros(scores.shape[1:], dtype=kind, device=scores.device)
    for number, score in enumerate(scores):
        torch.maximum(code, (score == best).to(kind).mul_(count - number), out=code)
    return count - code.to(torch.int32)


def _kind(schema: LabelSchema) -> type[np.uint8 | np.uint16]:
    return np.uint8 if max(schema.values) < 256 else np.uint16
