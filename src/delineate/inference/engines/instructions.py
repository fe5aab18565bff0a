"""Instructions: what is done to a scan before a network and to its logits afterwards, in plain words.

For programs that run an exported network without this one.
"""

from __future__ import annotations

from delineate.networks.model import CleanUp, required
from delineate.planning.plan import LANDMARKS, STORED, ChannelPlan, Configuration, Plan


def before(plan: Plan) -> tuple[str, ...]:
    """From the scan to windows, in order."""
    names = ", ".join(channel.name for channel in plan.channels)
    turned = (
        "Take the voxels as they are stored."
        if plan.orientation == STORED
        else f"Turn the scan without interpolation, so that its axes i, j, k run towards {plan.orientation}."
    )
    crop = ["Cut off the border in which every channel is zero."] if plan.crop_to_nonzero else []
    values = [_normalised(channel) for channel in plan.channels]
    sampled = [_sampled(name, plan.configuration(name)) for name in required(plan)]
    after_sampling = plan.normalized == "resampled"
    return (
        f"Channels, in this order: {names}.",
        turned,
        *crop,
        *(sampled + values if after_sampling else values + sampled),
        *_cascaded(plan),
        "Pad with 0 on both sides what is smaller than a window; windows overlap by half or more.",
    )


def after(plan: Plan, cleanup: CleanUp) -> tuple[str, ...]:
    """From the logits of windows to labels, in order."""
    labels = plan.labels
    if labels.exclusive:
        classes = ", ".join(f"{n} {name}" for n, name in enumerate(labels.outputs))
        values = ", ".join(f"{label.name} {label.value}" for label in labels.labels)
        decided = (
            f"Classes of the logits: {classes}. With one configuration the largest logit wins; with several, "
            "average softmax probabilities over the configurations, and the largest wins.",
            f"Values in label files: background 0, {values}.",
        )
    else:
        regions = ", ".join(
            f"{n} {region.name} (paints {region.paints})" for n, region in enumerate(labels.regions)
        )
        decided = (
            f"Each output is a region of its own, with a sigmoid: {regions}.",
            "From the first to the last, a region writes its value wherever its probability is above 0.5.",
        )
    pieces = [*(["all structures together"] if cleanup.foreground else []), *cleanup.structures]
    return (
        "Average the logits of folds, and of overlapping windows with a Gaussian weight whose standard "
        "deviation is an eighth of the window.",
        "Bring the logits back onto the voxels of the cropped scan by linear interpolation.",
        *decided,
        *([f"Keep the largest connected piece only, of: {', '.join(pieces)}."] if pieces else []),
        "Undo cropping and turning; background where the scan was cut off.",
    )


def _normalised(channel: ChannelPlan) -> str:
    rule = channel.normalization
    where = " of the voxels that are not zero; the others become 0" if rule.masked else " of all its voxels"
    match rule.rule:
        case "ct":
            said = f"clip to {rule.low:g} .. {rule.high:g}, subtract {rule.mean:g}, divide by {rule.sd:g}"
        case "zscore" if rule.landmarks is not None:
            places = ", ".join(
                f"{percent}: {to:g}" for percent, to in zip(LANDMARKS, rule.landmarks, strict=True)
            )
            said = (
                f"move these percentiles{where} to these values and what lies between in proportion, beyond "
                f"them as steeply as just before: {places}"
            )
        case "zscore":
            said = f"subtract the scan's mean, divide by its standard deviation, both{where}"
        case "unit":
            said = "subtract the scan's least value, divide by the distance to its largest"
        case "rgb":
            said = "divide by 255"
        case _:
            said = "leave the values as they are"
    denoise = channel.denoise
    first = {"median": f"a median filter of {denoise.size} voxels, then ", "n4": "N4 bias correction, then "}
    return f"{channel.name}: {first.get(denoise.rule, '')}{said}."


def _sampled(name: str, configuration: Configuration) -> str:
    spacing = " x ".join(f"{edge:g}" for edge in configuration.spacing)
    order = {1: "linear interpolation", 3: "cubic splines"}[configuration.sampling.order]
    patch = " x ".join(map(str, configuration.patch))
    if configuration.slice_axis is not None:
        axis = "ijk"[configuration.slice_axis]
        return f"{name}: slices across {axis} stay; in them to {spacing} mm by {order}; windows of {patch}."
    return f"{name}: resample to {spacing} mm by {order}; windows of {patch} voxels."


def _cascaded(plan: Plan) -> tuple[str, ...]:
    previous = {name: plan.configuration(name).previous for name in required(plan)}
    return tuple(
        f"{name}: add a channel for each label, 1 where {before} found it, 0 elsewhere."
        for name, before in previous.items()
        if before is not None
    )
