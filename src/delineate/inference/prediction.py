"""Prediction: what a model says about one scan."""

from __future__ import annotations

from dataclasses import dataclass

from delineate.space import LabelMap, Volume


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels on the scan's own grid.

    probabilities  one channel per output of the schema, in [0, 1], on the same grid; where asked for
    missing        channels that the scan lacked; the notes of the labels say what that costs
    windows        how many windows there were
    repeated       those that held the same as another (air that is one value), and were not predicted again
    """

    labels: LabelMap
    probabilities: Volume | None = None
    missing: tuple[str, ...] = ()
    windows: int = 0
    repeated: int = 0
