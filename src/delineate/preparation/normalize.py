"""Normalise: intensities as the network expects them, by the rule that the plan has for each channel.

The numbers of rule "ct", and landmarks where histograms are matched, are the training set's and stand in the
plan; all other rules look at nothing but the scan itself. So no scan changes how another one is normalised.
Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods, "intensity normalization".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.planning.plan import LANDMARKS, ChannelPlan, Normalization
from delineate.space import Volume

Channel = npt.NDArray[np.float32]  # (i, j, k)
Mask = npt.NDArray[np.bool_]  # (i, j, k)

TINY = 1e-8  # a spread below this counts as none: a constant channel becomes 0, not infinite
BLOCK = 1 << 20  # voxels whose squares are in memory at once


def normalized(scan: Volume, channels: Sequence[ChannelPlan], mask: Mask | None) -> npt.NDArray[np.float32]:
    """The scan's values (channel, i, j, k) as network input; the scan itself stays as it is.

    mask  where the patient is; needed by channels whose rule is `masked`, which become 0 elsewhere
    """
    array = _copied(scan)
    for values, channel in zip(array, channels, strict=True):
        _refuse_nan(values, channel, scan)
        _normalize(values, channel, mask, scan)
    return array


def normalized_apart(scan: Volume, channels: Sequence[ChannelPlan]) -> npt.NDArray[np.float32]:
    """The same, but each masked channel is measured and changed where it is not zero itself."""
    array = _copied(scan)
    for values, channel in zip(array, channels, strict=True):
        _refuse_nan(values, channel, scan)
        _normalize(values, channel, values != 0, scan)
    return array


def _copied(scan: Volume) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
        return np.array(scan.array, dtype=np.float32, order="C")


def _refuse_nan(values: Channel, channel: ChannelPlan, scan: Volume) -> None:
    if not np.isfinite(values).all():
        raise DataError(
            f"channel {channel.name}{scan.source.note}: {np.count_nonzero(~np.isfinite(values))} voxels "
            f"are NaN or infinite. Replace them by a value that means background, in the file."
        )


def _normalize(values: Channel, channel: ChannelPlan, mask: Mask | None, scan: Volume) -> None:
    """Normalises the values in place."""
    rule = channel.normalization
    match rule.rule:
        case "ct":
            _clip_and_scale(values, rule)
        case "zscore":
            if rule.landmarks is not None:
                match_landmarks(values, mask if rule.masked else None, rule.landmarks)
            else:
                _standardize(values, mask if rule.masked else None)
        case "unit":
            values -= values.min()
            values /= max(float(values.max()), TINY)
        case "rgb":
            low, high = float(values.min()), float(values.max())
            if low < 0 or high > 255:
                raise DataError(
                    f"channel {channel.name}{scan.source.note}: values run from {low:g} to {high:g}; the "
                    f'rule "rgb" expects 0 to 255. Use "unit" or "zscore" for such images in the plan.'
                )
            values /= 255
        case "none":
            pass


def _clip_and_scale(values: Channel, rule: Normalization) -> None:
    assert rule.low is not None and rule.high is not None
    assert rule.mean is not None and rule.sd is not None
    np.clip(values, rule.low, rule.high, out=values)
    values -= rule.mean
    values /= max(rule.sd, TINY)


def _standardize(values: Channel, mask: Mask | None) -> None:
    inside = values.reshape(-1) if mask is None else values[mask]
    mean, sd = moments(inside)
    inside -= mean
    inside /= max(sd, TINY)
    if mask is not None:
        values[...] = 0
        values[mask] = inside


def match_landmarks(values: Channel, mask: Mask | None, landmarks: Sequence[float]) -> None:
    """Moves the percentiles of the values, in place, to where a dataset has them; between, in proportion.

    Beyond the outermost percentiles values go on as steeply as just before. Percentiles that fall together,
    as of a scan that is mostly background, count once. Source: Nyul 2000, doi:10.1109/42.836373.
    """
    inside = values.reshape(-1) if mask is None else values[mask]
    if inside.size:
        inside[...] = _matched(inside, np.asarray(landmarks, np.float64))
    if mask is not None:
        values[...] = 0
        values[mask] = inside


def _matched(values: npt.NDArray[np.float32], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found = np.percentile(values, LANDMARKS)
    places = np.unique(found)
    if len(places) < 2:
        return np.zeros(values.shape)
    targets = np.array([wanted[found == place].mean() for place in places])
    slopes = np.diff(targets) / np.diff(places)
    result = np.interp(values, places, targets)
    below, above = values < places[0], values > places[-1]
    result[below] = targets[0] + (values[below] - places[0]) * slopes[0]
    result[above] = targets[-1] + (values[above] - places[-1]) * slopes[-1]
    return np.asarray(result)


def moments(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of values (n,), summed in float64; (0, 0) of none."""
    if not len(values):
        return 0.0, 0.0
    mean = float(values.mean(dtype=np.float64))
    squares = 0.0
    for start in range(0, len(values), BLOCK):
        away = np.subtract(values[start : start + BLOCK], mean, dtype=np.float64)
        squares += float(np.square(away).sum())
    return mean, float(np.sqrt(squares / len(values)))
