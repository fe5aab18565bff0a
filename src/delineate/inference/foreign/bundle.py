"""MONAI bundles: a trained U-Net becomes a model folder of ours.

    BUNDLE/{configs/inference.json, configs/metadata.json, models/model.pt}

The networks `UNet`, `DynUNet` and `SegResNet` are built here with the same weights and give the same logits.
Scans are prepared as the bundle says. Windows are this project's: evenly spread and blended by a Gaussian.
"""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from delineate.dataset.listing import read_json
from delineate.errors import ModelError
from delineate.inference.foreign.bundle_config import BundleConfig, Step
from delineate.inference.foreign.bundle_networks import spec_of, translated
from delineate.inference.foreign.bundle_steps import Postprocessing, Preprocessing, Reading
from delineate.io.disk import file_digest
from delineate.networks import Facts, Model, blueprint, card, inputs_of, write_model
from delineate.planning.plan import Augmentation, ChannelPlan, Configuration, Plan, Training
from delineate.space import Label, LabelSchema, Region, triple

REASON = "imported from a MONAI bundle"
OVER = Training(  # it is over: nothing of it matters from here on, and MONAI's windows are not mirrored
    optimizer="adam",
    learning_rate=1e-4,
    weight_decay=0,
    schedule="constant",
    steps=1,
    mirror_axes=(),
)


def import_monai(bundle: Path | str, model: Path | str, *, weights: str = "models/model.pt") -> Model:
    """Writes a model folder with the weights of a trained MONAI bundle, and opens it.

    bundle   folder with configs/inference.json, configs/metadata.json and the weights
    weights  the file of the weights in it; TorchScript is a program and is not read

    Raises:
        ModelError: it is no bundle, or does something that cannot be done here.
    """
    bundle = Path(bundle)
    config = BundleConfig.open(bundle)
    step = config.step("network_def")
    meaning = _metadata(bundle)
    plan = _plan(config, step, meaning, bundle)
    file = bundle / weights
    network = blueprint(plan.configuration().network, inputs_of(plan, plan.first), len(plan.labels.outputs))
    found = translated(_read(file), step, network, where=file)
    facts = _facts(bundle, file, meaning)
    return write_model(
        Path(model),
        plan=plan,
        weights={plan.first: {0: found}},
        card=card(plan, facts, {plan.first: (0,)}),
        facts=facts,
    )


def _plan(config: BundleConfig, step: Step, meaning: Mapping[str, Any], bundle: Path) -> Plan:
    channels, names = _channels(step, meaning, bundle)
    after = Postprocessing.of(config.steps("postprocessing"))
    reading = replace(Reading(len(channels)).all(config.steps("preprocessing")), reads=after.reads)
    if reading.spacing is None:
        raise ModelError(
            f"{config.path}: preprocessing has no Spacingd: the size of the voxels that the network learnt "
            "from is not known."
        )
    return Plan(
        dataset=str(meaning.get("name") or bundle.resolve().name),
        fingerprint=REASON,
        labels=_labels(names, bundle, independent=after.independent),
        channels=tuple(ChannelPlan(name=name, normalization=reading.normalization) for name in channels),
        orientation=reading.orientation,
        crop_to_nonzero=False,
        normalized=reading.normalized,
        configurations={"3d_fullres": _configuration(config, step, reading)},
        use=("3d_fullres",),
        augmentation={"3d_fullres": Augmentation()},
        training=OVER,
        reasons={"channels": REASON, "configurations": REASON, "orientation": REASON},
    )


def _configuration(config: BundleConfig, step: Step, reading: Preprocessing) -> Configuration:
    inferer = config.step("inferer")
    if inferer.name != "SlidingWindowInferer":
        raise ModelError(
            f"{inferer.where}: {inferer.name} cannot be imported; expected a SlidingWindowInferer, whose "
            "roi_size is the patch."
        )
    patch = inferer["roi_size"]
    if not isinstance(patch, list) or len(patch) != 3:
        raise ModelError(f"{inferer.where}: expected a roi_size of three edges, got {patch!r}.")
    spacing = reading.spacing or (1.0, 1.0, 1.0)
    return Configuration(
        spacing=spacing,
        median_shape=triple(int(n) for n in patch),
        patch=triple(int(n) for n in patch),
        batch=1,
        network=spec_of(step),
        batch_dice=False,
        sampling=reading.sampling,
    )


def _metadata(bundle: Path) -> Mapping[str, Any]:
    path = bundle / "configs" / "metadata.json"
    return read_json(path) if path.is_file() else {}


def _channels(
    step: Step, meaning: Mapping[str, Any], bundle: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of what goes in and of what comes out, by metadata.json."""
    formats = meaning.get("network_data_format", {})
    given = (formats.get("inputs", {}).get("image", {}), formats.get("outputs", {}).get("pred", {}))
    inputs, outputs = (
        tuple(str(each.get("channel_def", {}).get(str(n), "")) for n in range(int(step[count])))
        for each, count in zip(given, ("in_channels", "out_channels"), strict=True)
    )
    for names, what in ((inputs, "inputs.image"), (outputs, "outputs.pred")):
        if not all(names) or len(set(names)) != len(names):
            raise ModelError(
                f"{bundle / 'configs' / 'metadata.json'}: network_data_format.{what}.channel_def gives the "
                f"names {', '.join(names) or 'of nothing'}; expected {len(names)} different ones, "
                '"0": "background" first among the outputs.'
            )
    return inputs, outputs


def _labels(names: tuple[str, ...], bundle: Path, *, independent: bool) -> LabelSchema:
    """Classes of which one wins; or a single region, where the one output has a sigmoid."""
    if not independent:
        if len(names) < 2 or names[0].lower() != "background":
            raise ModelError(
                f"{bundle}: the first of {len(names)} classes is {names[0]!r}; expected background and one "
                "structure or more."
            )
        return LabelSchema.of(*names[1:])
    if len(names) > 1:
        raise ModelError(
            f"{bundle}: has {len(names)} outputs that may overlap (a sigmoid each): which label each of them "
            "paints is not said in the bundle, so it cannot be imported."
        )
    only = Label(value=1, name=names[0])
    return LabelSchema(labels=(only,), regions=(Region(name=names[0], values=(1,), paints=1),))


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors in a file, by a reader that runs no code of the file."""
    if not path.is_file():
        raise ModelError(f"{path}: is not there; name the file of the weights with --weights.")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise ModelError(
            f"{path}: cannot be read as weights: {str(error).splitlines()[0]:.200} Only tensors are read "
            "here; TorchScript (model.ts) and whole pickled networks are programs."
        ) from None
    for name in ("model", "state_dict", "network"):  # as training loops wrap them
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path}: holds no table of tensors.")
    return {name.removeprefix("module."): value for name, value in content.items()}


def _facts(bundle: Path, file: Path, meaning: Mapping[str, Any]) -> Facts:
    source = str(meaning.get("data_source", "data that the bundle does not name"))
    return Facts(
        created=datetime.date.fromtimestamp(file.stat().st_mtime).isoformat(),
        cases=1,
        patients=1,
        device="unknown",
        digests={str(file.relative_to(bundle)): file_digest(file)},
        limits=(
            f"Trained with MONAI on {source} and imported; it was not measured here.",
            "How many cases it learnt from is not known here; one is counted.",
            "Windows are spread evenly and blended by a Gaussian, which the bundle may do otherwise.",
        ),
    )
