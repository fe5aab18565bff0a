"""Planner: from what the data tell us to a plan, each number with its reason.

The rules are nnU-Net's (Isensee 2021, doi:10.1038/s41592-020-01008-z, and release 2.8), and on a GPU the
numbers equal its own, field by field (`tests/planning/golden`). Ours are the CPU budgets, the axes that are
mirrored, and the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from delineate.errors import PlanError
from delineate.planning.architectures import ARCHITECTURES, NetworkName
from delineate.planning.budget import CPU_GFLOPS, WEIGHT_DECAY, Budget, Device
from delineate.planning.configurations import Chosen, configurations
from delineate.planning.detector import ObjectNetworkName, finding
from delineate.planning.fingerprint import Fingerprint
from delineate.planning.imbalance import class_weights
from delineate.planning.intensity import normalized
from delineate.planning.plan import Augmentation, Axis, ConfigurationName, Plan, Training
from delineate.planning.presets import PRESETS, Preset, PresetName
from delineate.planning.reasons import AXES, configuration_reasons
from delineate.planning.sequences import sequences
from delineate.planning.spacing import ANISOTROPIC, IJK, Frame
from delineate.space.orientation import world_axes

CASCADE = "3d_cascade_fullres"
FOLDS = 5  # Isensee 2021: five-fold cross-validation
LOWRES_ALONE_BELOW = 0.05  # a CPU patch that sees less of the scan than this learns the coarser one instead
OBLONG = 1.5  # a 2D patch longer than this many times its width would lose too much when turned
FLAT_ANGLES = (-15.0, 15.0)  # nnU-Net 2.8: in 2D, oblong patches
ANY_ANGLE = (-180.0, 180.0)  # nnU-Net 2.8: in 2D, and in the slices of anisotropic patches

Names = tuple[ConfigurationName, ...]
Configurations = Mapping[ConfigurationName, Chosen]


def make_plan(  # noqa: PLR0913 - what a user may ask for; everything but the fingerprint has an answer
    found: Fingerprint,
    *,
    memory_gb: float | None = None,
    device: Device = "gpu",
    preset: PresetName = "default",
    network: NetworkName | ObjectNetworkName | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    folds: Sequence[int] | None = None,
    fold_count: int | None = None,
    use: Sequence[str] | None = None,
    channel_dropout: float | None = None,
    gflops: float = CPU_GFLOPS,
) -> Plan:
    """The plan for a dataset.

    network     one of the literature in place of the U-Net, see `planning.architectures`; or one that finds
                single objects, see `planning.detector`
    memory_gb   of the GPU or the machine; None is what the preset was made for: 8, 24 (L) or 40 (XL)
    minutes     of training, all folds and configurations together; steps are of each training
    folds, use  which folds and configurations to train; None leaves it to the budget
    channel_dropout  how likely each channel of a sample is dropped in training, so that scans may lack it
    fold_count  how many folds there are, where the cases are divided already; None is five
    gflops      what the CPU sustains in training: with the minutes, it limits the network there

    Raises:
        PlanError: wishes that contradict each other, or data that no network can learn.
    """
    _check(device, preset, memory_gb)
    frame = Frame.of(found)
    family = _family(preset, network) if network != "mask_rcnn" else _finding(found, frame, preset)
    count = _fold_count(found, fold_count, folds or ())
    cascaded = folds is None and CASCADE in (use or ())
    trainings = len(folds or (range(count) if cascaded else (0,))) * len(use or ("one",))
    budget = Budget.of(device, minutes, steps, trainings, gflops)
    memory = family.memory_gb if memory_gb is None else memory_gb
    chosen = configurations(found, frame, budget.allowance(family, memory))
    used, why_used = _used(chosen, frame, budget, use)
    budget = replace(budget, step=max(chosen[name].draft.operations_of_a_step for name in used))
    train_folds, why_trained = _train_folds(count, budget, folds, cascaded=cascaded)
    mirror_axes, why_mirrored = _mirror_axes(found, frame)
    weights, why_weighted = class_weights(found)
    may_lack, why_lacking = sequences(found, channel_dropout)
    channels = [normalized(found, n) for n in range(len(found.channels))]
    augmentation = {name: _augmentation(each, frame) for name, each in chosen.items()}
    reasons = _dataset_reasons(found) | {f"channels.{n}": why for n, (_, why) in enumerate(channels)}
    for name, each in chosen.items():
        reasons |= configuration_reasons(name, each, frame)
        reasons |= {f"augmentation.{name}{field}": why for field, why in augmentation[name][1].items()}
    reasons |= {"use": why_used, "train_folds": why_trained, "training.mirror_axes": why_mirrored}
    reasons |= {"training.class_weights": why_weighted}
    reasons |= {"folds": _why_folds(found, count, given=fold_count is not None)} | budget.reasons()
    reasons |= _why_trained_so(family) | why_lacking
    training = _trained_as(family, budget.training(mirror_axes))
    return Plan(
        dataset=found.dataset,
        fingerprint=found.digest(),
        labels=found.labels,
        channels=tuple(channel for channel, _ in channels),
        may_lack=may_lack,
        orientation=found.orientation,
        configurations={name: each.configuration for name, each in chosen.items()},
        use=used,
        folds=count,
        train_folds=train_folds,
        augmentation={name: drawn for name, (drawn, _) in augmentation.items()},
        training=training.but(class_weights=weights, channel_dropout=channel_dropout or 0.0),
        reasons=reasons,
    )


def _check(device: str, preset: str, memory_gb: float | None) -> None:
    if device not in get_args(Device):
        raise PlanError(f"device is 'gpu' or 'cpu', got {device!r}.")
    if preset not in PRESETS:
        raise PlanError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}.")
    if memory_gb is not None and not memory_gb > 0:
        raise PlanError(f"memory_gb is a positive number of GB, got {memory_gb}.")


def _family(preset: PresetName, network: NetworkName | None) -> Preset:
    """The family of networks that was asked for."""
    if network is None:
        return PRESETS[preset]
    if network not in ARCHITECTURES:
        known = ", ".join((*ARCHITECTURES, *get_args(ObjectNetworkName)))
        raise PlanError(f"there is no network {network!r}; there are {known}.")
    if preset != "default":
        raise PlanError(f"the preset {preset} is a residual U-Net: choose it or the network {network}.")
    return ARCHITECTURES[network]


def _finding(found: Fingerprint, frame: Frame, preset: PresetName) -> Preset:
    """The network for single objects."""
    if preset != "default":
        raise PlanError(f"the preset {preset} is a residual U-Net: choose it or the network mask_rcnn.")
    return finding(found, frame)


def _trained_as(family: Preset, training: Training) -> Training:
    """The training, in the way that the network asks for."""
    other = family.other
    if other is None or other.rate is None:
        return training
    training = training.but(optimizer="adamw", learning_rate=other.rate, weight_decay=WEIGHT_DECAY)
    return training if other.loss is None else training.but(loss=other.loss)


def _why_trained_so(family: Preset) -> dict[str, str]:
    if family.other is None or family.other.rate is None:
        return {}
    why = "as this network's authors train, or as small as it needs to be to stay stable"
    reasons = {f"training.{field}": why for field in ("optimizer", "learning_rate", "weight_decay")}
    if family.other.loss is not None:
        reasons["training.loss"] = "the network's own: what is an object, its kind, its box, its outline"
    return reasons


def _used(
    chosen: Configurations, frame: Frame, budget: Budget, wanted: Sequence[str] | None
) -> tuple[Names, str]:
    """Which configurations are trained, in this order, and why."""
    if wanted is not None:
        return _wanted(chosen, wanted), "asked for"
    if frame.is_flat:
        return ("2d",), "the images are flat"
    if "3d_lowres" not in chosen:
        return ("3d_fullres",), "a patch at full resolution sees enough of the scan by itself"
    seen = chosen["3d_fullres"].seen
    sees = f"a patch at full resolution sees {seen:.1%} of the median scan"
    if budget.is_thorough:
        names: Names = ("3d_fullres", "3d_lowres", "3d_cascade_fullres")
        return names, f"{sees}: the cascade adds what lies around it. Cross-validation tells which is best"
    if budget.device == "cpu" and seen < LOWRES_ALONE_BELOW:
        return ("3d_lowres",), f"{sees}, too little to learn from in the time: one network at low resolution"
    return ("3d_fullres",), f"{sees}; the budget is best spent on one network"


def _wanted(chosen: Configurations, wanted: Sequence[str]) -> Names:
    missing = [name for name in wanted if name not in chosen]
    if missing or not wanted:
        raise PlanError(
            f"use names {', '.join(missing) or 'nothing'}; for these data there are {', '.join(chosen)}."
        )
    names: Names = tuple(name for want in wanted for name in chosen if name == want)
    for place, name in enumerate(names):
        before = chosen[name].configuration.previous
        if before is not None and before not in names[:place]:
            raise PlanError(f"{name} reads the labels of {before}: use both, {before} first.")
    return names


def _fold_count(found: Fingerprint, given: int | None, wanted: Sequence[int]) -> int:
    if given is None:
        return max(2, min(FOLDS, len(found.cases)), *(fold + 1 for fold in wanted))
    missing = [str(fold) for fold in wanted if not 0 <= fold < given]
    if missing:
        raise PlanError(
            f"there is no fold {', '.join(missing)}: the cases are divided into {given}, from 0 on."
        )
    return given


def _why_folds(found: Fingerprint, count: int, *, given: bool) -> str:
    if given and count != FOLDS:
        return "as the cases are divided"
    each = "each is measured once, by a network that never saw it"
    return f"{len(found.cases)} cases: {each if count == FOLDS else 'no more are possible'}"


def _train_folds(
    count: int, budget: Budget, wanted: Sequence[int] | None, *, cascaded: bool
) -> tuple[tuple[int, ...], str]:
    """Which folds are trained, and why."""
    if wanted is not None:
        return tuple(wanted), "asked for"
    if cascaded:
        return tuple(range(count)), "all: a cascade learns from labels by networks that never saw the case"
    if not budget.is_thorough:
        return (0,), "all the time goes into one network"
    return tuple(range(count)), "all: they vote on new scans"


def _mirror_axes(found: Fingerprint, frame: Frame) -> tuple[tuple[Axis, ...], str]:
    axes = [axis for axis in IJK if not (frame.is_flat and axis == frame.slice_axis)]
    pairs = found.labels.lateral_pairs()
    if not pairs:
        return tuple(axes), "nothing in the labels tells left from right"
    side = world_axes(found.orientation).index(0)
    names = {label.value: label.name for label in found.labels.labels}
    left, right = (names[value] for value in pairs[0])
    why = (
        f"not {AXES[side]}, which runs from left to right: mirrored, {left!r} would look like {right!r} "
        f"({len(pairs)} such pair(s))"
    )
    return tuple(axis for axis in axes if axis != side), why


def _augmentation(chosen: Chosen, frame: Frame) -> tuple[Augmentation, dict[str, str]]:
    """What is changed at random, and why, by field (an empty name is all of them)."""
    edges = chosen.configuration.edges
    why = {"": "nnU-Net 2.8's probabilities and ranges, found on many datasets"}
    if chosen.configuration.slice_axis is not None:
        oblong = max(edges) / min(edges) > OBLONG
        angles = FLAT_ANGLES if oblong else ANY_ANGLE
        why[".rotation_deg"] = (
            f"the patch is {max(edges)} x {min(edges)}: "
            + ("longer than {0:g} times its width, so it is turned little" if oblong else "any angle fits")
        ).format(OBLONG)
        return Augmentation(rotation_deg=angles), why
    across = chosen.configuration.patch[frame.slice_axis]
    if max(edges) / across > ANISOTROPIC:
        axis = AXES[frame.slice_axis]
        why[".flat_axis"] = (
            f"the patch has {max(edges)} voxels along its longest edge and {across} along {axis}: turning it "
            f"out of its slices would mix voxels that lie far apart"
        )
        why[".rotation_deg"] = "within the slices any angle fits"
        return Augmentation(rotation_deg=ANY_ANGLE, flat_axis=frame.slice_axis), why
    why[".flat_axis"] = f"no axis is {ANISOTROPIC:g} times shorter than the longest: turned in all directions"
    return Augmentation(), why


def _dataset_reasons(found: Fingerprint) -> dict[str, str]:
    same = sum(case.orientation == found.orientation for case in found.cases)
    kept = math.floor(100 * found.kept)
    return {
        "orientation": f"{same} of {len(found.cases)} cases lie like this; others are turned, not resampled",
        "crop_to_nonzero": f"voxels that are zero in every channel hold no patient; {kept} % remain",
    }
