"""What a MONAI bundle does to a scan before its network, as rules of a plan.

MONAI resamples first and measures intensities afterwards, keeps the first voxel where it is and interpolates
linearly: the plan says so, and preparation does the same. A transform that has no counterpart is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from delineate.errors import ModelError
from delineate.inference.foreign.bundle_config import Step
from delineate.planning.plan import STORED, Normalization, Sampling
from delineate.space import Spacing

IGNORED = {  # how arrays are kept in memory, and how results are written
    "LoadImaged": ("keys", "image_only", "reader", "ensure_channel_first", "meta_keys", "dtype"),
    "EnsureChannelFirstd": ("keys", "channel_dim", "meta_keys"),
    "AddChanneld": ("keys",),
    "EnsureTyped": ("keys", "device", "track_meta", "dtype"),
    "ToTensord": ("keys",),
    "CastToTyped": ("keys", "dtype"),
    "ToDeviced": ("keys", "device"),
}
SIDES = ("LR", "PA", "IS")  # one letter of each, in any order
LINEAR = ("bilinear", "trilinear", 1)


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a scan: how it is turned, its voxels (mm), and how each channel is normalised.

    normalized  whether intensities are measured on the scan's voxels, or after resampling
    """

    orientation: str = STORED
    spacing: Spacing | None = None
    rules: tuple[Normalization, ...] = ()
    normalized: Literal["scanned", "resampled"] = "resampled"
    reads: Literal["logits", "probabilities"] = "logits"

    @property
    def sampling(self) -> Sampling:
        """MONAI's `Spacing`, with its defaults."""
        return Sampling(order=1, keeps="first_voxel", across="interpolated", reads=self.reads)

    @property
    def normalization(self) -> Normalization:
        """The one rule that does what all of the bundle's do, one after the other."""
        *before, last = self.rules or (Normalization(rule="none"),)
        for rule in before:  # what a z-score follows on may shift and scale: it undoes both
            if rule.rule != "unit" or last.rule != "zscore" or last.masked:
                raise ModelError(f"{rule.rule} followed by {last.rule} is no single rule of a plan.")
        return last


@dataclass
class Reading:
    """The transforms, read one after the other."""

    channels: int
    found: Preprocessing = field(default_factory=Preprocessing)

    def all(self, steps: Iterable[Step]) -> Preprocessing:
        """What they come to.

        Raises:
            ModelError: one of them has no counterpart here, or stands in another order than it can.
        """
        known: Mapping[str, Callable[[Step], Preprocessing]] = {
            "Orientationd": self._turned,
            "Spacingd": self._respaced,
            "ScaleIntensityRanged": self._ranged,
            "ScaleIntensityd": self._unit,
            "NormalizeIntensityd": self._zscore,
        }
        for step in steps:
            if step.name in IGNORED:
                step.only(*IGNORED[step.name])
            elif step.name in known:
                self.found = known[step.name](step)
            else:
                raise ModelError(
                    f"{step.where}: {step.name} has no counterpart here; known are "
                    f"{', '.join(sorted((*IGNORED, *known)))}."
                )
        return self.found

    def _turned(self, step: Step) -> Preprocessing:
        step.only("keys", "axcodes", "labels")
        codes = str(step["axcodes"])
        named = sorted(next((n for n, side in enumerate(SIDES) if code in side), -1) for code in codes)
        if named != [0, 1, 2] or self.found.spacing is not None:
            raise ModelError(f"{step.where}: expected axcodes such as RAS, before Spacingd, got {codes!r}.")
        return replace(self.found, orientation=codes)

    def _respaced(self, step: Step) -> Preprocessing:
        step.only("keys", "pixdim", "mode", "padding_mode", "align_corners", "diagonal")
        modes = step.given.get("mode", "bilinear")
        spacing = [float(edge) for edge in step["pixdim"]]
        if len(spacing) != 3 or min(spacing) <= 0:
            raise ModelError(f"{step.where}: expected three sizes in mm, got {spacing}.")
        if any(mode not in LINEAR for mode in (modes if isinstance(modes, list) else [modes])):
            raise ModelError(f"{step.where}: images are read linearly here (bilinear), got {modes!r}.")
        if step.given.get("padding_mode", "border") != "border" or step.given.get("diagonal", False):
            raise ModelError(f"{step.where}: only padding_mode border and diagonal false are known here.")
        rules, a, b, c = self.found.rules, *spacing
        return replace(self.found, spacing=(a, b, c), normalized="scanned" if rules else "resampled")

    def _ranged(self, step: Step) -> Preprocessing:
        step.only("keys", "a_min", "a_max", "b_min", "b_max", "clip")
        if not step.given.get("clip", False):
            raise ModelError(f"{step.where}: expected clip true: values beyond a_min and a_max are cut here.")
        low, high = float(step["a_min"]), float(step["a_max"])
        to_low, to_high = float(step.given.get("b_min", 0)), float(step.given.get("b_max", 1))
        if high <= low or to_high <= to_low:
            raise ModelError(f"{step.where}: its intervals are empty or turned round.")
        sd = (high - low) / (to_high - to_low)
        return self._ruled(step, Normalization(rule="ct", low=low, high=high, mean=low - to_low * sd, sd=sd))

    def _unit(self, step: Step) -> Preprocessing:
        step.only("keys", "minv", "maxv", "channel_wise")
        to = [float(step.given.get(name, default)) for name, default in (("minv", 0), ("maxv", 1))]
        if to != [0, 1]:
            raise ModelError(f"{step.where}: expected minv 0 and maxv 1, got {to}.")
        return self._ruled(step, Normalization(rule="unit"))

    def _zscore(self, step: Step) -> Preprocessing:
        step.only("keys", "nonzero", "channel_wise")
        return self._ruled(step, Normalization(rule="zscore", masked=bool(step.given.get("nonzero", False))))

    def _ruled(self, step: Step, rule: Normalization) -> Preprocessing:
        alone = self.channels == 1 or rule.rule == "ct" or step.given.get("channel_wise", False)
        if not alone:
            raise ModelError(
                f"{step.where}: measures all channels together; here each is measured on its own "
                "(channel_wise true)."
            )
        if self.found.rules and self.found.spacing and self.found.normalized == "scanned":
            raise ModelError(f"{step.where}: intensities are changed before and after Spacingd.")
        return replace(self.found, rules=(*self.found.rules, rule))


@dataclass(frozen=True)
class Postprocessing:
    """What is made of logits.

    independent  outputs with a sigmoid each, rather than classes of which one wins
    reads        what is brought onto the scan's voxels
    """

    independent: bool = False
    reads: Literal["logits", "probabilities"] = "logits"

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Postprocessing:
        """What the transforms come to.

        Raises:
            ModelError: something else is done with the logits than can be done here.
        """
        independent = activated = chosen = False
        reads: Literal["logits", "probabilities"] = "logits"
        for step in steps:
            match step.name:
                case "Activationsd":
                    independent = independent or bool(step.given.get("sigmoid", False))
                    activated = True
                case "AsDiscreted":
                    independent = independent or "threshold" in step.given
                    chosen = True
                    _check_threshold(step)
                case "Invertd":
                    reads = "probabilities" if activated else "logits"
                case "SaveImaged" | "EnsureTyped":
                    pass
                case _:
                    raise ModelError(
                        f"{step.where}: {step.name} changes labels after the network, which an imported "
                        "model would not do. Disable it in the file (_disabled_: true) to import without it."
                    )
        if not chosen:
            raise ModelError("the bundle's postprocessing has no AsDiscreted: it gives no labels.")
        return cls(independent, reads)


def _check_threshold(step: Step) -> None:
    threshold: Any = step.given.get("threshold", 0.5)
    if float(threshold) != 0.5:
        raise ModelError(f"{step.where}: expected a threshold of 0.5, got {threshold}.")
