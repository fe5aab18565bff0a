"""Generalize: what a plan can do so that a network also works on scans of other places.

heavy      more and stronger random changes in training. The numbers are those of nnU-Net 2's trainer DA5;
           with changes of this kind M&Ms was won (Full 2021, doi:10.1007/978-3-030-68107-4_24)
landmarks  each scan's histogram is matched to the dataset's: percentiles come to lie at stored landmarks
           (Nyul 2000, doi:10.1109/42.836373; Shah 2011, doi:10.1016/j.media.2010.12.003)

Both are choices of the user: what they cost at home and gain abroad is to be measured (`delineate stress`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from delineate.errors import PlanError
from delineate.planning.plan import LANDMARKS, Augmentation, ChannelPlan, Plan, Shifts

AugmentName = Literal["nnunet", "heavy"]
KEPT = ("rotation_deg", "flat_axis", "mirror_probability")  # they follow from the shape of the patch
DA5 = "nnU-Net's trainer DA5"
SHIFTS = Shifts(
    offset_probability=0.1,
    offset_sd=0.5,
    gradient_probability=0.3,
    gradient=(1.0, 5.0),
    local_gamma_probability=0.3,
    local_gamma_down=(0.01, 0.8),
    local_gamma_up=(1.5, 4.0),
    bump_centre=(-0.5, 1.5),
    bump_width=(1 / 6, 1.0),
    sharpen_probability=0.2,
    sharpen=(0.1, 1.0),
)
HEAVY: dict[str, tuple[Any, str]] = {  # field -> value, why
    "preset": ("heavy", "asked for: scans of other scanners and protocols are to be segmented too"),
    "rotation_probability": (0.4, DA5),
    "blur_sigma": ((0.3, 1.5), DA5),
    "contrast_probability": (0.2, DA5),
    "contrast": ((0.5, 2.0), DA5),
    "low_resolution_probability": (0.15, DA5),
    "low_resolution": ((0.25, 1.0), DA5),
    "shifts": (SHIFTS, f"{DA5}: additive brightness, brightness gradient, local gamma, sharpening"),
}


def augmented(plan: Plan, name: str) -> Plan:
    """The plan with another preset of augmentation in every configuration; what the patch decides stays.

    Raises:
        PlanError: there is no such preset.
    """
    if name not in get_args(AugmentName):
        raise PlanError(f"there is no augmentation {name!r}; there are {', '.join(get_args(AugmentName))}.")
    if all(each.preset == name for each in plan.augmentation.values()):
        return plan
    changes = {field: value for field, (value, _) in HEAVY.items()} if name == "heavy" else {}
    why = {field: reason for field, (_, reason) in HEAVY.items()} if name == "heavy" else {}
    reasons = dict(plan.reasons)
    found = {}
    for configuration, before in plan.augmentation.items():
        kept = {field: getattr(before, field) for field in KEPT}
        found[configuration] = Augmentation().but(**kept, **changes)
        place = f"augmentation.{configuration}"
        for field in HEAVY:
            reasons.pop(f"{place}.{field}", None)
        reasons |= {f"{place}.{field}": reason for field, reason in why.items()}
    return plan.but(augmentation=found, reasons=reasons)


def measurable(plan: Plan) -> tuple[str, ...]:
    """Channels whose histograms can be matched: those that each scan scales by itself."""
    return tuple(channel.name for channel in plan.channels if channel.normalization.rule == "zscore")


def matched(plan: Plan, landmarks: Mapping[str, tuple[float, ...]], cases: int) -> Plan:
    """The plan with histogram matching of the channels that landmarks are given for.

    Raises:
        PlanError: there is no channel that could be matched.
    """
    if not measurable(plan):
        rules = ", ".join(f"{channel.name} ({channel.normalization.rule})" for channel in plan.channels)
        raise PlanError(
            f"no histogram is matched: values of {rules} mean the same in every scan. Matching is for "
            "channels that each scan scales by itself (zscore), such as MR."
        )
    reasons, channels = dict(plan.reasons), []
    for number, channel in enumerate(plan.channels):
        if channel.name in landmarks and channel.normalization.rule == "zscore":
            rule = channel.normalization.but(landmarks=landmarks[channel.name])
            reasons[f"channels.{number}"] = (
                f"{channel.name!r}: asked for: {len(LANDMARKS)} percentiles of each scan come to lie where "
                f"{cases} cases have them on average, in standard deviations"
            )
            channels.append(ChannelPlan(name=channel.name, normalization=rule, denoise=channel.denoise))
        else:
            channels.append(channel)
    return plan.but(channels=tuple(channels), reasons=reasons)


def unmatched(plan: Plan) -> Plan:
    """The plan without histogram matching."""
    channels = tuple(
        channel.but(normalization=channel.normalization.but(landmarks=None)) for channel in plan.channels
    )
    return plan if channels == plan.channels else plan.but(channels=channels)


def is_matched(plan: Plan) -> bool:
    """Whether histograms are matched."""
    return any(channel.normalization.landmarks is not None for channel in plan.channels)
