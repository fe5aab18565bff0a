"""Reasons: the sentences behind the numbers of a plan, for whoever has to trust or change them."""

from __future__ import annotations

from collections.abc import Sequence

from delineate.planning.configurations import LOWRES_BELOW, LOWRES_FACTOR, Chosen
from delineate.planning.plan import ConfigurationName
from delineate.planning.presets import BASE_WIDTH, REFERENCE_BATCH, SMALLEST_BATCH, WIDEST, Other
from delineate.planning.spacing import Frame
from delineate.planning.topology import SIMILAR, SMALLEST_EDGE

AXES = "ijk"


def configuration_reasons(name: ConfigurationName, chosen: Chosen, frame: Frame) -> dict[str, str]:
    """Why each field of a configuration has its value, by path."""
    fields = {
        "spacing": _spacing(name, chosen, frame),
        "median_shape": "the median case without its empty border, at this spacing",
        "patch": _patch(chosen),
        "batch": _batch(chosen),
        "slice_axis": _slice_axis(chosen, frame),
        "batch_dice": _batch_dice(name, chosen),
        "previous": _previous(name, chosen),
        **{f"network.{field}": why for field, why in _network(chosen).items()},
    }
    return {f"configurations.{name}.{field}": why for field, why in fields.items()}


def _spacing(name: ConfigurationName, chosen: Chosen, frame: Frame) -> str:
    if name == "3d_lowres":
        return f"coarsened, the finer axes first, until a patch sees {LOWRES_BELOW:.0%} of the median scan"
    why = f"the median of {frame.cases} cases along each axis"
    if frame.sparse:
        why += (
            f", but the 10th percentile along {AXES[frame.slice_axis]} (median {frame.medians[0]:.3g} mm): "
            "slices are thick and few, and cases with finer ones would lose them"
        )
    if chosen.configuration.slice_axis is not None:
        why += f"; slices across {AXES[frame.slice_axis]} stay where they are"
    return why


def _patch(chosen: Chosen) -> str:
    draft = chosen.draft
    batch = draft.allowance.preset.batch_that_must_fit(draft.dims)
    values = f"{draft.values * batch / 1e6:.0f} million feature values in a batch of {batch}"
    room = f"{draft.room * REFERENCE_BATCH[draft.dims] / 1e6:.0f} million fit into {_memory(chosen)}"
    if chosen.configuration.edges == chosen.first:
        how = "as large as the median scan, each edge rounded up to what can be halved that often"
    else:
        how = (
            f"started at {_by(chosen.first)}; the edge largest against the median scan was cut until it fits"
        )
    why = f"{how}. It has {values}, {room}"
    if draft.allowance.operations is not None:
        why += f"; {_work(chosen)}"
    return f"{why}. It sees {min(1.0, chosen.seen):.0%} of the median scan"


def _batch(chosen: Chosen) -> str:
    draft = chosen.draft
    limits = [
        f"memory holds {draft.batch_by_memory}",
        f"{draft.allowance.preset.covered:.0%} of all voxels of the dataset are {draft.batch_by_cases}",
    ]
    if draft.batch_by_work is not None:
        limits.append(f"the time for a step allows {draft.batch_by_work}")
    return f"{', '.join(limits)}; the least of these, and at least {SMALLEST_BATCH}"


def _slice_axis(chosen: Chosen, frame: Frame) -> str:
    axis = AXES[frame.slice_axis]
    if chosen.configuration.slice_axis is None:
        return "all three axes are learnt together"
    if frame.is_flat:
        return f"the images are flat: one voxel along {axis}"
    return f"slices across {axis}, the coarsest axis ({frame.medians[0]:.3g} mm), are the images"


def _batch_dice(name: ConfigurationName, chosen: Chosen) -> str:
    if chosen.configuration.slice_axis is not None:
        return "overlap over the whole batch: many slices hold no structure, and their Dice says nothing"
    if chosen.configuration.batch_dice:
        return "overlap over the whole batch: a patch sees little of a scan and often no structure"
    if name == "3d_lowres":
        return "overlap patch by patch: each sees much of a scan"
    return (
        f"overlap patch by patch: each sees {min(1.0, chosen.seen):.0%} of the median scan, and a resolution "
        f"with {LOWRES_FACTOR:g} times fewer voxels is not needed to see {LOWRES_BELOW:.0%}"
    )


def _previous(name: ConfigurationName, chosen: Chosen) -> str:
    if name == "3d_cascade_fullres":
        return "the labels found at low resolution tell this network where it is"
    return f"learns from the scan alone, {chosen.draft.demand.inputs} channel(s)"


def _network(chosen: Chosen) -> dict[str, str]:
    spec, other = chosen.configuration.network, chosen.draft.allowance.preset.other
    if other is not None:
        return _other(chosen, other)
    plain = spec.kind == "unet"
    return {
        "kind": "nnU-Net's plain U-Net, hard to beat"
        if plain
        else "residual encoder: nnU-Net's authors recommend it where there is a GPU",
        "features": _features(chosen),
        "strides": (
            f"an axis is halved while it has {2 * SMALLEST_EDGE} voxels and is less than {SIMILAR:g} times "
            f"coarser than the finest: {_by(_halvings(chosen))} times; the smallest feature map has "
            f"{_by(_bottleneck(chosen))} voxels"
        ),
        "kernels": _kernels(chosen),
        "encoder_blocks": "two convolutions a stage, as in the first U-Net"
        if plain
        else "residual blocks, more where feature maps are small and blocks cost little",
        "decoder_blocks": "convolutions in which each stage brings back the detail",
        "deep_supervision": "coarser outputs are compared with the labels too: deep stages learn early",
    }


def _other(chosen: Chosen, other: Other) -> dict[str, str]:
    """Why each field of a network of the literature has its value."""
    dims = chosen.draft.dims
    usual = {
        "kind": f"asked for; its values and operations are counted as {other.memory[dims]:.2g} and "
        f"{other.work[dims]:.2g} times those of the U-Net of these stages",
        "encoder_blocks": "the paper's",
        "decoder_blocks": "the paper's",
        "deep_supervision": "coarser outputs are compared with the labels too"
        if chosen.configuration.network.deep_supervision
        else "this network has one output",
    }
    own = {field for field in chosen.configuration.network.model_dump() if field not in usual}
    return usual | dict.fromkeys(own, "the paper's") | other.reasons


def _features(chosen: Chosen) -> str:
    draft = chosen.draft
    why = f"doubled with each stage, at most {WIDEST[draft.dims]} in {draft.dims}D"
    if draft.allowance.operations is None:
        return f"{BASE_WIDTH} at full resolution, {why}"
    if draft.width == draft.allowance.widths[0]:
        return f"{draft.width} at full resolution, as on a GPU: {_work(chosen)}; {why}"
    return f"{draft.width} at full resolution instead of {BASE_WIDTH}: {_work(chosen)}; {why}"


def _kernels(chosen: Chosen) -> str:
    kernels = chosen.configuration.network.kernels
    flat = sum(1 in kernel for kernel in kernels)
    if not flat:
        return "3 voxels along every axis"
    return (
        f"3 voxels, but 1 across the coarse axis in the first {flat} stage(s): its neighbours are more than "
        f"{SIMILAR:g} times farther away there"
    )


def _work(chosen: Chosen) -> str:
    """What a step costs, against what it may cost."""
    draft = chosen.draft
    allowed = draft.allowance.operations or 0
    cost = draft.operations_of_a_step
    verb = "of the" if cost <= allowed else "though only"
    return (
        f"a step of {draft.batch} is {cost / 1e9:.0f} GFLOP, {verb} {allowed / 1e9:.0f} that its time allows"
    )


def _memory(chosen: Chosen) -> str:
    return f"{chosen.draft.allowance.memory_gb:g} GB"


def _halvings(chosen: Chosen) -> list[int]:
    return [d.bit_length() - 1 for d in chosen.configuration.network.divisor]


def _bottleneck(chosen: Chosen) -> list[int]:
    configuration = chosen.configuration
    return [n // d for n, d in zip(configuration.edges, configuration.network.divisor, strict=True)]


def _by(numbers: Sequence[int]) -> str:
    return " x ".join(map(str, numbers))
