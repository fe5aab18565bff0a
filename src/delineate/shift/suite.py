"""Suite: every kind of shift, by modality, with its five levels.

The levels of a kind run from what passes unnoticed in a good department to what a radiographer would repeat;
they are ours, chosen before any model was measured, and stand here and nowhere else. The same scan, severity
and seed give the same numbers on every machine.

Sources: Hendrycks 2019, arXiv:1903.12261 (kinds in five severities, corruption error); Kamann 2020,
doi:10.1109/CVPR42600.2020.00885 (the same for segmentation); Boone 2023, doi:10.1016/j.neuroimage.2023.120289
(ROOD-MRI: shifts of MR in severities).
"""

from __future__ import annotations

import zlib
from functools import partial

import numpy as np

from delineate.errors import DataError
from delineate.shift import intensity, magnetic, picture, place, tomography
from delineate.shift.kind import LEVELS, Example, Kind, Modality

SEVERITIES = tuple(range(1, LEVELS + 1))
SEED = 20211

_BLUR = Kind(
    "blur", "blur", "mm FWHM", (1, 2, 3, 4.5, 6), place.blur, "Gaussian, full width at half maximum, all axes"
)
_SLICES = Kind(
    "thick_slices",
    "thicker slices",
    "times as thick",
    (1.5, 2, 3, 4, 6),
    place.thick_slices,
    "means over thicker slices; scan and labels are on their grid",
    is_moving=True,
)
_PIXELS = Kind(
    "low_resolution",
    "coarser pixels",
    "times as wide",
    (1.25, 1.5, 2, 3, 4),
    place.low_resolution,
    "means over wider pixels; scan and labels are on their grid",
    is_moving=True,
)
_VIEW = Kind(
    "field_of_view",
    "cut field of view",
    "% shorter",
    (5, 10, 20, 30, 40),
    place.field_of_view,
    "every axis is cut; what lies outside is not asked for",
    is_moving=True,
)
_TURNED = Kind(
    "rotation",
    "rotation",
    "degrees",
    (5, 10, 20, 30, 45),
    place.rotation,
    "turned within the slices about the middle; labels are turned along",
    is_moving=True,
)
_MOVED = (_SLICES, _PIXELS, _VIEW, _TURNED)

_MR = (
    Kind("noise", "noise", "% of the signal", (2, 4, 8, 12, 18), intensity.noise, "Rician"),
    _BLUR,
    Kind(
        "motion",
        "motion",
        "mm",
        (1, 2, 4, 6, 10),
        magnetic.motion,
        f"{magnetic.EVENTS} jumps while lines of k-space are acquired",
    ),
    Kind(
        "ghosting",
        "ghosting",
        "% weaker lines",
        (10, 20, 35, 50, 70),
        magnetic.ghosting,
        "every third line of k-space is weaker",
    ),
    Kind(
        "bias_field",
        "bias field",
        "% brighter",
        (20, 50, 100, 200, 300),
        magnetic.bias,
        "smooth, exponential",
    ),
    Kind("gamma", "gamma", "power", (1.25, 1.5, 2, 2.75, 4), intensity.gamma, "values to a power"),
    Kind(
        "contrast",
        "low contrast",
        "of the contrast",
        (0.8, 0.6, 0.45, 0.3, 0.15),
        intensity.contrast,
        "distances from the middle grey, times a factor",
    ),
    Kind(
        "inversion",
        "inverted contrast",
        "% of the range",
        (20, 40, 60, 80, 100),
        intensity.inversion,
        "the brightest values turn back and grow darker; at 100 % all do",
    ),
    Kind(
        "offset",
        "offset",
        "% of the signal",
        (10, 25, 50, 100, 200),
        intensity.offset_share,
        "added to every value",
    ),
    Kind("scale", "scale", "% more", (10, 25, 50, 100, 300), intensity.scale, "every value times a factor"),
    Kind(
        "spike",
        "spike in k-space",
        "% of the signal",
        (5, 10, 20, 35, 60),
        magnetic.spike,
        "stripes",
    ),
    Kind(
        "truncation",
        "k-space cut off",
        "% cut off",
        (20, 35, 50, 65, 80),
        magnetic.truncation,
        "high frequencies missing: blur and Gibbs ringing",
    ),
    *_MOVED,
)

_CT = (
    Kind("noise", "noise", "HU", (15, 30, 60, 100, 160), intensity.noise_hu, "Gaussian, as of a lower dose"),
    _BLUR,
    Kind("offset", "offset", "HU", (10, 20, 40, 80, 150), intensity.offset, "added to every value"),
    Kind("scale", "scale", "% more", (2, 5, 10, 15, 25), intensity.scale, "slope calibrated wrongly"),
    Kind(
        "window",
        "clipped to a window",
        "HU wide",
        (1500, 800, 400, 250, 150),
        tomography.window,
        f"values clipped about {tomography.LEVEL_HU:g} HU",
    ),
    Kind(
        "metal",
        "metal streaks",
        "mm of metal",
        (3, 5, 8, 12, 16),
        tomography.metal,
        "two rods: beam hardening and lack of photons, backprojected",
    ),
    *_MOVED,
)

_PICTURE = (
    Kind("noise", "noise", "of 255 levels", (5, 10, 20, 35, 55), intensity.noise_picture, "Gaussian"),
    Kind("blur", "out of focus", "pixels FWHM", (1, 2, 4, 6, 9), place.blur, "Gaussian"),
    Kind("gamma", "gamma", "power", (1.25, 1.5, 2, 2.75, 4), intensity.gamma_picture, "values to a power"),
    Kind(
        "contrast",
        "low contrast",
        "of the contrast",
        (0.8, 0.6, 0.45, 0.3, 0.15),
        intensity.contrast_picture,
        "distances from the mean, times a factor",
    ),
    Kind("brightness", "brightness", "of 255 levels", (15, 30, 50, 75, 100), intensity.brightness, "added"),
    Kind("shading", "shading", "% brighter", (20, 50, 100, 200, 300), picture.shading, "from one side"),
    Kind(
        "compression",
        "compression",
        "JPEG quality",
        (60, 30, 18, 10, 5),
        picture.compression,
        "saved as JPEG and read again",
    ),
    *(_PIXELS, _VIEW, _TURNED),
)
_COLORED = (
    Kind("color", "colour", "% of gain", (5, 10, 20, 30, 45), picture.color, "each channel has another gain"),
    Kind("stain", "stain", "% of dye", (10, 20, 35, 50, 70), picture.stain, "dyes stronger or weaker"),
)
_KINDS: dict[Modality, tuple[Kind, ...]] = {"mr": _MR, "ct": _CT, "picture": _PICTURE}


def kinds(
    modality: Modality, *, channels: int = 1, flat: bool = False, absent: tuple[str, ...] = ()
) -> tuple[Kind, ...]:
    """The kinds of shift that scans of a modality may have.

    channels  colours and dyes are those of pictures with three
    flat      images have no slices to be thicker
    absent    names of channels that a model says it can do without
    """
    chosen = [kind for kind in _KINDS[modality] if not (flat and kind is _SLICES)]
    if modality == "picture" and channels == 3:
        chosen += _COLORED
    if absent and channels > 1:
        levels = tuple(float(n) for n in range(1, 1 + min(len(absent), channels - 1, LEVELS)))
        change = partial(intensity.missing, absent)
        what = f"not there, as the model was taught that {', '.join(absent)} may be"
        chosen.append(Kind("missing", "missing channel", "missing", levels, change, what))
    return tuple(chosen)


def shifted(example: Example, kind: Kind, severity: int, *, case: str = "", seed: int = SEED) -> Example:
    """The example with a shift of this severity; the same for the same case and seed.

    Raises:
        DataError: the kind has no such severity.
    """
    if not 1 <= severity <= len(kind.levels):
        raise DataError(f"{kind.title} has severities 1 to {len(kind.levels)}, got {severity}.")
    rng = np.random.default_rng((seed, zlib.crc32(kind.name.encode()), zlib.crc32(case.encode())))
    return kind.change(example, kind.levels[severity - 1], rng)
