"""nnU-Net's plans.json and dataset.json as a plan of ours.

Axes are the one difficulty. nnU-Net reads arrays as k, j, i, then transposes them by `transpose_forward`;
its axis a is therefore our axis 2 - transpose_forward[a], and everything it lists along a goes there. It
does not turn scans (but for one reader): the plan says so, and ours are taken as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from delineate.dataset.layouts.nnunet import channel_names, json_labels
from delineate.errors import DataError, ModelError
from delineate.planning import (
    Augmentation,
    ChannelPlan,
    Configuration,
    ConfigurationName,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.planning.plan import STORED, Sampling
from delineate.space import LabelSchema

CONFIGURATIONS = get_args(ConfigurationName)
REORIENTING = {"NibabelIOWithReorient": "RAS"}  # the readers that turn scans
NETWORKS: dict[str, Literal["unet", "residual_unet"]] = {
    "PlainConvUNet": "unet",
    "ResidualEncoderUNet": "residual_unet",
}
FEATURES = {2: 512, 3: 320}  # at most, where older plans do not say
RESAMPLED = {  # what our own resampling equals
    "resampling_fn_data": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
}
RESAMPLER = "resample_data_or_seg_to_shape"
USUAL = {  # of a network, where it can be otherwise: name in arch_kwargs -> what ours has
    "conv_bias": True,
    "dropout_op": None,
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": "torch.nn.LeakyReLU",
    "squeeze_excitation": False,
}
REASON = "imported from nnU-Net"
AS_NNUNET = Training(  # Isensee 2021; it is over, and only mirror_axes matters from here on
    optimizer="sgd", learning_rate=0.01, weight_decay=3e-5, schedule="poly", steps=250_000
)

T = TypeVar("T")


@dataclass(frozen=True)
class Meaning:
    """What plans.json and dataset.json say, for one configuration and those that it builds on."""

    plans: Mapping[str, Any]
    labels: LabelSchema
    channels: tuple[str, ...]
    name: ConfigurationName
    where: Path

    @classmethod
    def of(
        cls, plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str, *, where: Path
    ) -> Meaning:
        """The meaning of both files.

        Raises:
            ModelError: the dataset's labels are not what label maps of nnU-Net hold.
        """
        try:
            table = json_labels(dataset, where / "dataset.json")
            channels = channel_names(dataset, where / "dataset.json")
        except DataError as error:
            raise ModelError(str(error)) from None
        return cls(plans, table.schema, channels, cast("ConfigurationName", configuration), where)

    def plan(self) -> Plan:
        """The plan; what it does not need to predict is nnU-Net's default.

        Raises:
            ModelError: something in the plans makes other answers than our parts would give.
        """
        found: dict[ConfigurationName, Configuration] = {}
        name: ConfigurationName | None = self.name
        while name is not None and name not in found:
            found[name] = self._configuration(name)
            name = found[name].previous
        orientation = REORIENTING.get(str(self.plans.get("image_reader_writer")), STORED)
        return Plan(
            dataset=str(self.plans.get("dataset_name", self.where.parent.name)),
            fingerprint=REASON,
            labels=self.labels,
            channels=tuple(self._channels()),
            orientation=orientation,
            configurations=found,
            use=(self.name,),
            augmentation={each: Augmentation() for each in found},
            training=AS_NNUNET,
            reasons={
                "channels": REASON,
                "configurations": REASON,
                "orientation": "nnU-Net takes arrays as they are stored"
                if orientation == STORED
                else f"{self.plans['image_reader_writer']} turns scans to {orientation}",
            },
        )

    @property
    def ours(self) -> tuple[int, int, int]:
        """For each axis of nnU-Net's, which one of ours (0 i, 1 j, 2 k) it is."""
        a, b, c = (2 - int(axis) for axis in self.plans.get("transpose_forward", (0, 1, 2)))
        return a, b, c

    def axes(self, theirs: tuple[int, ...], dims: int) -> tuple[int, ...]:
        """Axes of their image as axes of ours; the image of a 2D network has no first axis."""
        return tuple(sorted(self.ours[axis + 3 - dims] for axis in theirs))

    def kernel_order(self, dims: int) -> tuple[int, ...]:
        """For each axis of our image in order, which axis of theirs it is."""
        theirs = self.ours[3 - dims :]
        return tuple(theirs.index(axis) for axis in sorted(theirs))

    # --- one configuration

    def _configuration(self, name: ConfigurationName) -> Configuration:
        raw = self._inherited(name)
        self._check_resampling(raw)
        dims = len(self._needed(raw, "patch_size", list))
        spec = self._network(raw, dims)
        slice_axis = self.ours[0] if dims == 2 else None
        spacing = self._needed(raw, "spacing", list)
        sizes = raw.get("median_image_size_in_voxels") or raw["patch_size"]
        return Configuration(
            spacing=self._triple([float(s) for s in spacing], self._first_spacing()),
            median_shape=self._triple([max(1, round(float(n))) for n in sizes], 1),
            patch=self._triple([int(n) for n in raw["patch_size"]], 1),
            batch=int(raw.get("batch_size", 2)),
            slice_axis=cast("Any", slice_axis),
            network=spec,
            batch_dice=bool(raw.get("batch_dice", False)),
            previous=self._previous(raw),
            sampling=Sampling(middle="voxel"),
        )

    def _inherited(self, name: str) -> dict[str, Any]:
        """A configuration with what it inherits from others."""
        known = self.plans.get("configurations", {})
        if name not in known:
            raise ModelError(
                f"{self.where}: plans.json has no configuration {name!r}; it has {', '.join(known)}."
            )
        raw = dict(known[name])
        seen = {name}
        while (parent := raw.pop("inherits_from", None)) is not None:
            if parent in seen or parent not in known:
                raise ModelError(
                    f"{self.where}: configuration {name!r} inherits from {parent!r}, which is no other."
                )
            seen.add(parent)
            raw = {**known[parent], **raw}
        return raw

    def _previous(self, raw: Mapping[str, Any]) -> ConfigurationName | None:
        name = raw.get("previous_stage")
        if name is not None and name not in CONFIGURATIONS:
            raise ModelError(f"{self.where}: previous_stage {name!r} is none of {', '.join(CONFIGURATIONS)}.")
        return cast("ConfigurationName | None", name)

    def _triple(self, theirs: list[T], first: T) -> tuple[T, T, T]:
        """Numbers along their axes as numbers along ours; images have none along their first."""
        whole = [first] * (3 - len(theirs)) + theirs
        i, j, k = (whole[self.ours.index(axis)] for axis in range(3))
        return i, j, k

    def _first_spacing(self) -> float:
        return float(self.plans.get("original_median_spacing_after_transp", (1.0,))[0])

    # --- what must be as ours is

    def _check_resampling(self, raw: Mapping[str, Any]) -> None:
        for name, expected in RESAMPLED.items():
            function, given = raw.get(name, RESAMPLER), raw.get(f"{name}_kwargs", expected)
            if function != RESAMPLER or {**expected, **given} != expected:
                raise ModelError(
                    f"{self.where}: plans.json resamples with {function} {given}; expected {RESAMPLER} "
                    f"{expected}. Other interpolation gives other answers than those that were measured."
                )
        if raw.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
            raise ModelError(
                f"{self.where}: the preprocessor {raw['preprocessor_name']!r} is not nnU-Net's own; what it "
                "does to a scan is not known here."
            )

    def _channels(self) -> list[ChannelPlan]:
        raw = self._inherited(self.name)
        schemes = self._needed(raw, "normalization_schemes", list)
        masked = raw.get("use_mask_for_norm") or [False] * len(schemes)
        if len(schemes) != len(self.channels):
            raise ModelError(
                f"{self.where}: {len(schemes)} normalization_schemes for {len(self.channels)} channels."
            )
        rules = [
            self._normalization(number, str(scheme), masked=bool(inside))
            for number, (scheme, inside) in enumerate(zip(schemes, masked, strict=True))
        ]
        return [ChannelPlan(name=n, normalization=r) for n, r in zip(self.channels, rules, strict=True)]

    def _normalization(self, number: int, scheme: str, *, masked: bool) -> Normalization:
        match scheme:
            case "CTNormalization":
                facts = self.plans["foreground_intensity_properties_per_channel"][str(number)]
                low, high = float(facts["percentile_00_5"]), float(facts["percentile_99_5"])
                return Normalization(
                    rule="ct", low=low, high=high, mean=float(facts["mean"]), sd=float(facts["std"])
                )
            case "ZScoreNormalization":
                return Normalization(rule="zscore", masked=masked)
            case "RescaleTo01Normalization":
                return Normalization(rule="unit")
            case "RGBTo01Normalization":
                return Normalization(rule="rgb")
            case "NoNormalization":
                return Normalization(rule="none")
        raise ModelError(
            f"{self.where}: the normalisation {scheme!r} is not nnU-Net's own; it is not known here."
        )

    def _network(self, raw: Mapping[str, Any], dims: int) -> NetworkSpec:
        found = _described(raw) if "architecture" in raw else _described_formerly(raw, dims)
        kind = NETWORKS.get(found.name)
        if kind is None:
            raise ModelError(
                f"{self.where}: the network {found.name!r} is none of {', '.join(NETWORKS)}; only those "
                "have the same layers here."
            )
        for name, expected in USUAL.items():
            given = found.settings.get(name, expected)
            if given != expected and not (name == "squeeze_excitation" and not given):
                raise ModelError(f"{self.where}: the network has {name} = {given!r}, ours {expected!r}.")
        order = self.kernel_order(dims)
        stages = len(found.features)
        return NetworkSpec(
            kind=kind,
            features=found.features,
            strides=_turned(found.strides, order),
            kernels=_turned(found.kernels, order),
            encoder_blocks=_each(found.encoder, stages),
            decoder_blocks=_each(found.decoder, stages - 1),
        )

    def _needed(self, raw: Mapping[str, Any], name: str, kind: type[T]) -> T:
        value = raw.get(name)
        if not isinstance(value, kind):
            raise ModelError(f"{self.where}: plans.json has no {name} for {self.name}, got {value!r}.")
        return value


@dataclass(frozen=True)
class Described:
    """A network as plans describe it."""

    name: str
    features: tuple[int, ...]
    strides: list[Any]
    kernels: list[Any]
    encoder: Any
    decoder: Any
    settings: Mapping[str, Any]


def _described(raw: Mapping[str, Any]) -> Described:
    """Since release 2.3: a class with its arguments."""
    settings = raw["architecture"]["arch_kwargs"]
    stages = int(settings["n_stages"])
    residual = settings.get("n_blocks_per_stage")
    return Described(
        name=str(raw["architecture"]["network_class_name"]).rsplit(".", 1)[-1],
        features=_each(settings["features_per_stage"], stages),
        strides=list(settings["strides"]),
        kernels=list(settings["kernel_sizes"]),
        encoder=settings["n_conv_per_stage"] if residual is None else residual,
        decoder=settings["n_conv_per_stage_decoder"],
        settings=settings,
    )


def _described_formerly(raw: Mapping[str, Any], dims: int) -> Described:
    """Before: a class name and lists; features double from stage to stage."""
    kernels = list(raw["conv_kernel_sizes"])
    most, base = raw.get("unet_max_num_features", FEATURES[dims]), int(raw["UNet_base_num_features"])
    return Described(
        name=str(raw["UNet_class_name"]),
        features=tuple(min(base * 2**stage, int(most)) for stage in range(len(kernels))),
        strides=list(raw["pool_op_kernel_sizes"]),
        kernels=kernels,
        encoder=raw["n_conv_per_stage_encoder"],
        decoder=raw["n_conv_per_stage_decoder"],
        settings={},
    )


def _each(value: Any, stages: int) -> tuple[int, ...]:
    """One number for each stage; a single one is for all."""
    return (int(value),) * stages if isinstance(value, int) else tuple(int(each) for each in value)


def _turned(rows: list[Any], order: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Strides or kernels of every stage, along our axes; a single number is for all axes."""
    whole = [[row] * len(order) if isinstance(row, int) else row for row in rows]
    return tuple(tuple(int(row[axis]) for axis in order) for row in whole)
