"""Adapt: batch norms that take part of their statistics from the scan that they see.

A batch norm remembers mean and variance of each feature over the training set. A scan of another scanner has
others, in the first layers above all. Here a share of both is the scan's own: a first pass over its windows
gathers them layer by layer, each layer already seeing what the adapted ones before it give; a second pass
segments. Afterwards the network is as it was: no scan changes how another one is segmented.

Instance norms need none of this: they take their statistics from each window already. Adapting to a single
odd scan can do harm, so it is done only where a guard has shown on the model's own kind of cases that it
costs next to nothing there. Sources: Schneider 2020, arXiv:2006.16971 (mixing the statistics); Dong 2024,
InTEnt, arXiv:2402.09604 (that a single choice of them is unstable).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.inference.prediction import Prediction
from delineate.inference.ready import Ready
from delineate.inference.segmenter import Segmenter, modules
from delineate.progress import Progress, silent

Norm = nn.BatchNorm2d | nn.BatchNorm3d


def adapted(
    segmenter: Segmenter, scan: Ready, *, probabilities: bool = False, progress: Progress = silent
) -> Prediction:
    """Labels for a scan that is ready, its own statistics mixed in; the notes say so.

    Raises:
        ModelError: the model was not measured for this, or the measurement does not allow it.
    """
    granted = segmenter.adaptation
    if granted is None:
        raise ModelError(
            "this model was not measured for adapting, and may lose on its own kind of scans. Measure it on "
            "cases that it did not learn from:  delineate adapt MODEL DATASET"
        )
    if not granted.is_allowed:
        raise ModelError(f"this model is not adapted. {granted.told}")
    found = with_statistics(segmenter, scan, granted.share, probabilities=probabilities, progress=progress)
    return replace(found, labels=replace(found.labels, notes=(*found.labels.notes, granted.note)))


def with_statistics(
    segmenter: Segmenter,
    scan: Ready,
    share: float,
    *,
    probabilities: bool = False,
    progress: Progress = silent,
) -> Prediction:
    """Labels with a share of the statistics from the scan, guard or no guard: for measuring.

    Raises:
        ModelError: no network has statistics that could be adapted.
    """
    norms = norms_of(segmenter)
    with _kept(norms):
        with _gathering(norms, share):
            replace(segmenter).labelled(
                scan, progress=progress
            )  # anew: what it holds of networks may be copies
        return segmenter.labelled(scan, probabilities=probabilities, progress=progress)


def norms_of(segmenter: Segmenter) -> list[Norm]:
    """The norms whose statistics can be adapted.

    Raises:
        ModelError: there are none.
    """
    networks = [network for some in segmenter.networks.values() for network in modules(some)]
    found = [
        part
        for network in networks
        for part in network.modules()
        if isinstance(part, Norm) and part.running_mean is not None
    ]
    if not found:
        raise ModelError(
            "no network of this model has batch norms that torch computes: there are no statistics to adapt. "
            "Instance norms take theirs from each scan already; for batch norms train with "
            "--set network.norm=batch, where the network has a choice."
        )
    return found


@dataclass
class _Sums:
    """What a norm has seen of a scan so far."""

    mean: Tensor
    variance: Tensor
    trained: tuple[Tensor, Tensor]
    count: int = 0

    def add(self, x: Tensor) -> None:
        """Counts a batch of windows (window, feature, ...)."""
        values = x.detach().float().transpose(0, 1).flatten(1)
        mean, variance = values.mean(dim=1), values.var(dim=1, correction=0)
        old, new = self.count, self.count + len(x)
        gap = mean - self.mean
        self.mean = self.mean + gap * (len(x) / new)
        mixed = self.variance * old + variance * len(x) + gap.square() * (old * len(x) / new)
        self.variance, self.count = mixed / new, new


@contextmanager
def _kept(norms: Sequence[Norm]) -> Iterator[None]:
    """Statistics are put back afterwards."""
    before = [_statistics(norm) for norm in norms]
    try:
        yield
    finally:
        for norm, (mean, variance) in zip(norms, before, strict=True):
            _set(norm, mean, variance)


@contextmanager
def _gathering(norms: Sequence[Norm], share: float) -> Iterator[None]:
    """Every window that passes moves the statistics towards those of all windows so far, mixed by a share."""
    sums = {id(norm.running_mean): _blank(norm) for norm in norms}

    def see(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, Norm)
        seen = sums[id(norm.running_mean)]  # a copy of a network shares its statistics
        seen.add(given[0])
        mean, variance = seen.trained
        _set(norm, torch.lerp(mean, seen.mean, share), torch.lerp(variance, seen.variance, share))

    hooks = [norm.register_forward_pre_hook(see) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    assert all(each.count for each in sums.values())


def _blank(norm: Norm) -> _Sums:
    mean, variance = _statistics(norm)
    return _Sums(torch.zeros_like(mean), torch.zeros_like(variance), (mean, variance))


def _statistics(norm: Norm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()


def _set(norm: Norm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
