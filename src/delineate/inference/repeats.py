"""Repeats: windows that hold the same as one before need not be predicted again.

Only windows of one value per channel are looked for: air that normalisation made zero, or clipped to one
value, and padding. Any two such windows of one value are the same input, to the bit, and so have the same
logits: nothing is assumed about what a network says of air. Noise in air is not one value, and is predicted.
(Only rounding may differ, where the library rounds otherwise in a batch of another size.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from delineate.inference.source import Source
from delineate.space import Shape

Values = tuple[float, ...]  # of the channels


class Repeats:
    """The value that fills most windows of a scan, and what was predicted for it while more of them come.

    used  how many windows were not predicted so far
    """

    def __init__(self, values: Values | None, windows: int) -> None:
        self._values, self._left = values, windows
        self._logits: Tensor | None = None
        self.used = 0

    @classmethod
    def none(cls) -> Repeats:
        """Nothing is known to repeat."""
        return cls(None, 0)

    @classmethod
    def among(cls, source: Source, corners: Iterable[Shape], patch: Shape) -> Repeats:
        """Looks at all windows of a scan. Most are told from the values at a few corners."""
        counts = Counter(
            values for corner in corners if (values := uniform(source.window(corner, patch))) is not None
        )
        values, windows = max(counts.items(), key=lambda item: item[1], default=(None, 0))
        return cls(values, windows) if windows > 1 else cls.none()

    def predicted(
        self,
        inputs: Sequence[Tensor],
        predict: Callable[[Tensor], Tensor],
        device: torch.device,
    ) -> list[Tensor]:
        """Logits (class, i, j, k) of each window on `device`; those that repeat are one tensor."""
        same = [self._left > 0 and uniform(each) == self._values for each in inputs]
        known = self._logits is not None
        first = None if known or True not in same else same.index(True)
        asked = [n for n, repeats in enumerate(same) if not repeats or n == first]
        logits = list(predict(torch.stack([inputs[n] for n in asked])).to(device)) if asked else []
        found = dict(zip(asked, logits, strict=True))
        if first is not None:
            self._logits = found[first].clone()  # not the whole batch
        result = [found[n] if n in found else self._repeated() for n in range(len(inputs))]
        self._left -= sum(same)
        if self._left <= 0:
            self._logits = None
        return result

    def _repeated(self) -> Tensor:
        assert self._logits is not None
        self.used += 1
        return self._logits


def uniform(window: Tensor) -> Values | None:
    """The one value of each channel of a window (channel, i, j, k); None where some channel has two."""
    first = window[:, :1, :1, :1]
    if not bool((window[:, :: _far(window, 1), :: _far(window, 2), :: _far(window, 3)] == first).all()):
        return None
    return tuple(first.flatten().tolist()) if bool((window == first).all()) else None


def _far(window: Tensor, axis: int) -> int:
    """A step that takes the first and last value along an axis, and a few between."""
    return max(1, (window.shape[axis] - 1) // 3)
