"""Pixel size: how large a pixel of an image is, and which field of the header says so.

Slices say it in PixelSpacing. A radiograph knows the size at its detector, which is larger than that in the
patient; ultrasound calibrates regions of its picture. Source: PS3.3 10.7, C.8.5.5, C.8.7.1 (10.7.1.3 on what
PixelSpacing means in projection images), C.8.6.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isclose, isfinite
from typing import Any

Spacing = tuple[float, float]  # mm between columns, and between rows

CM = 3  # PhysicalUnitsXDirection: cm. PS3.3 C.8.5.5.1.16
FLAT = 1  # RegionSpatialFormat: 2D
SAME = 1e-3  # two sizes that differ by less are one
CALIBRATED = {"GEOMETRY": "for the magnification", "FIDUCIAL": "by an object of known size"}
NAMES = (
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelSpacingCalibrationType",
    "EstimatedRadiographicMagnificationFactor", "SequenceOfUltrasoundRegions",
)  # fmt: skip


def pixel_size(values: Mapping[str, Any]) -> tuple[Spacing | None, str]:
    """The size of a pixel, and in words where it comes from; no words for PixelSpacing alone.

    values  what the header says by keyword
    """
    stated = _pair(values.get("PixelSpacing"))
    imager = _pair(values.get("ImagerPixelSpacing"))
    if stated is not None:
        return stated, "" if imager is None else _calibration(values, stated, imager)
    if imager is not None:
        return imager, _at_detector(values)
    if (scanned := _pair(values.get("NominalScannedPixelSpacing"))) is not None:
        return scanned, "a pixel is as large as on the film that was scanned (NominalScannedPixelSpacing)"
    return _by_regions(values.get("SequenceOfUltrasoundRegions") or ())


def _calibration(values: Mapping[str, Any], stated: Spacing, imager: Spacing) -> str:
    """What a size beside that at the detector means."""
    if _same(stated, imager):
        return _at_detector(values)
    how = CALIBRATED.get(str(values.get("PixelSpacingCalibrationType") or ""), "nobody says how")
    return (
        f"a pixel is {stated[0]:.4g} x {stated[1]:.4g} mm in the patient (PixelSpacing, corrected {how}), "
        f"and {imager[0]:.4g} x {imager[1]:.4g} mm at the detector"
    )


def _at_detector(values: Mapping[str, Any]) -> str:
    try:
        factor = float(values.get("EstimatedRadiographicMagnificationFactor") or 0)
    except (TypeError, ValueError):
        factor = 0.0
    times = f", by a factor of about {factor:.3g}" if factor > 1 else ""
    said = "a pixel is as large as at the detector (ImagerPixelSpacing): things in the patient are smaller"
    return f"{said}{times}"


def _by_regions(regions: Iterable[Any]) -> tuple[Spacing | None, str]:
    """The size that the two-dimensional regions of an ultrasound picture agree on."""
    sizes = [size for region in regions if (size := _region(region)) is not None]
    if not sizes:
        return None, ""
    if all(_same(size, sizes[0]) for size in sizes):
        return sizes[0], f"pixel size from the calibration of {len(sizes)} ultrasound region(s)"
    return None, f"its {len(sizes)} ultrasound regions have different scales"


def _region(region: Any) -> Spacing | None:
    units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
    if region.get("RegionSpatialFormat") != FLAT or units != (CM, CM):
        return None
    across, down = region.get("PhysicalDeltaX"), region.get("PhysicalDeltaY")
    if not across or not down:
        return None
    return abs(float(across)) * 10, abs(float(down)) * 10  # cm to mm


def _pair(value: Any) -> Spacing | None:
    """DICOM's (between rows, between columns) in our order; None where it is none."""
    if value is None or value == "":
        return None
    parts = tuple(float(part) for part in (value if hasattr(value, "__iter__") else [value]))
    return (parts[1], parts[0]) if len(parts) == 2 and all(map(isfinite, parts)) else None


def _same(a: Spacing, b: Spacing) -> bool:
    return isclose(a[0], b[0], rel_tol=SAME) and isclose(a[1], b[1], rel_tol=SAME)
