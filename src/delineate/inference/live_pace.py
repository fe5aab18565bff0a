"""Live pace: what a frame takes at each working size, by what was measured, and which size is in time.

Each size has the least time that it ever took per pixel; how much slower the machine is at the moment is
the worst of the last few frames, whatever their size. So one slow frame makes the next smaller, and a few
quick ones give the full size back. The first frame of a size prepares kernels: it is not counted until it
is all that is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

REMEMBERED = 8  # frames whose worst says how slow the machine is now
ROOM = 0.85  # share of the time left that a frame may be expected to take


@dataclass(eq=False)
class Pace:
    """Seconds per frame at each factor by which frames are made smaller; grows with every frame.

    factors  1 for the full size, then larger ones
    """

    factors: Sequence[float]
    _counts: dict[float, int] = field(default_factory=dict)
    _least: dict[float, float] = field(default_factory=dict)  # seconds per pixel
    _slowness: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def note(self, factor: float, seconds: float, pixels: int) -> None:
        """A frame of so many pixels took so long at a factor."""
        each = seconds / pixels
        count = self._counts[factor] = self._counts.get(factor, 0) + 1
        if count <= 2:  # the first is forgotten: it was the first
            self._least[factor] = each
        else:
            self._least[factor] = min(self._least[factor], each)
        if count >= 2:
            self._slowness.append(each / self._least[factor] if self._least[factor] > 0 else 1.0)

    def forget(self) -> None:
        """How slow the machine was is long ago: the next frame tells."""
        self._slowness.clear()

    @property
    def is_known(self) -> bool:
        """Whether any size was measured more than once."""
        return any(count > 1 for count in self._counts.values())

    def expected(self, factor: float, pixels: int) -> float | None:
        """Seconds that a frame will take at a factor; None while nothing was measured."""
        known = [f for f, count in self._counts.items() if count > 1] or list(self._counts)
        if not known:
            return None
        nearest = min(known, key=lambda f: max(f, factor) / min(f, factor))
        least = self._least[nearest] * (nearest / factor) ** 2
        return least * max(self._slowness, default=1.0) * pixels

    def fitting(self, left_s: float, pixels: int) -> float | None:
        """The largest size that is expected to be done in the time left; None if none is.

        While nothing was measured it is the full size, and then, until something is known, the smallest.
        """
        for factor in self.factors:
            expected = self.expected(factor, pixels)
            if expected is None or expected <= left_s * ROOM:
                return factor
        return None if self.is_known else self.factors[-1]
