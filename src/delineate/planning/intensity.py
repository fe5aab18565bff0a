"""Intensity: how the values of each channel become network input, told by the channel's name.

CT numbers mean the same in every scan, so the dataset's own window and scale are used for all. Any other
value means something only within its scan, so each scan is scaled by itself.

Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods, "Intensity normalization"; nnU-Net's names.
"""

from __future__ import annotations

from delineate.errors import PlanError
from delineate.planning.fingerprint import Fingerprint
from delineate.planning.plan import ChannelPlan, Normalization

MASKED_BELOW = 0.75  # share of a scan left after cropping; below, the border outside the patient weighs
AIR = -500.0  # a foreground or background this low is seen in CT only (air is -1000)


def normalized(found: Fingerprint, channel: int) -> tuple[ChannelPlan, str]:
    """What happens to a channel, and why.

    Raises:
        PlanError: a CT without a single labelled voxel to measure.
    """
    name = found.channels[channel]
    rule, why = _rule(found, channel)
    return ChannelPlan(name=name, normalization=rule), f"{name!r}: {why}"


def _rule(found: Fingerprint, channel: int) -> tuple[Normalization, str]:
    match found.channels[channel].casefold():
        case "ct":
            return _window(found, channel)
        case "nonorm":
            return Normalization(rule="none"), "asked for by its name"
        case "rescale_to_0_1":
            return Normalization(rule="unit"), "asked for by its name: each scan's range becomes 0..1"
        case "rgb_to_0_1":
            return Normalization(rule="rgb"), "asked for by its name: values are bytes, divided by 255"
        case _:
            return _zscore(found, channel)


def _window(found: Fingerprint, channel: int) -> tuple[Normalization, str]:
    measured = found.intensities(channel)
    if measured is None:
        raise PlanError(
            f"{found.dataset}: CT values are clipped to those of labelled voxels, and no case has any. "
            "Expected label maps with values other than 0: `delineate check` names the empty ones."
        )
    rule = Normalization(rule="ct", low=measured.low, high=measured.high, mean=measured.mean, sd=measured.sd)
    return rule, (
        f"CT: clipped to {measured.low:g} .. {measured.high:g} (0.5 and 99.5 % of the labelled voxels of "
        f"{len(found.cases)} cases), then minus {measured.mean:.1f}, divided by {measured.sd:.1f}"
    )


def _zscore(found: Fingerprint, channel: int) -> tuple[Normalization, str]:
    masked = found.kept < MASKED_BELOW
    if masked:
        where = (
            f"inside the patient only: cropping the empty border leaves {found.kept:.0%} of the median "
            f"scan, less than {MASKED_BELOW:.0%}"
        )
    else:
        where = f"over the whole scan: the empty border is small ({found.kept:.0%} is left without it)"
    why = f"each scan minus its own mean, divided by its own standard deviation, {where}"
    ranges = [case.ranges[channel] for case in found.cases]
    if min((r.minimum for r in ranges if r is not None), default=0) <= AIR:
        why += ". Values go down to those of air in CT: if this is CT, name the channel 'CT'"
    return Normalization(rule="zscore", masked=masked), why
