"""SUV: what turns the values of a PET series into standardised uptake values by body weight.

    SUVbw = activity per ml * body weight in g / dose, all decayed to one moment

Source: QIBA FDG-PET/CT Profile 1.05, appendix G, and its pseudo-code (Clunie et al.); DICOM PS3.3 C.8.9.1.
What is missing is refused by name: a guessed weight or dose would scale every voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import expm1, isfinite, log
from typing import Any

from pydicom.dataset import Dataset

from delineate.errors import DataError

GE_SCAN = (0x0009, 0x100D)  # start of the scan, where a later reconstruction has overwritten SeriesTime
PHILIPS_SUV = (0x7053, 0x1000)  # from counts to SUV by body weight
PHILIPS_ACTIVITY = (0x7053, 0x1009)  # from counts to Bq/ml
UNIT = "SUVbw (g/ml)"
LONGEST_H = 12  # between injection and scan: for the usual tracers longer is a wrong clock
FIELDS = [
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration",
    "RadiopharmaceuticalInformationSequence", "DecayCorrectionDateTime", "SOPClassUID",
    GE_SCAN, PHILIPS_SUV, PHILIPS_ACTIVITY,
]  # fmt: skip
STORED = {"BQML": "Bq/ml", "GML": "g/ml", "CNTS": "counts"}
STORED_OPTION = "Or take the values as they are stored, if all your scans have the same unit:  --pet stored"


@dataclass(frozen=True)
class Uptake:
    """From the values of a series to SUV by body weight: a factor, and how it was found, in words."""

    factor: float
    note: str


def uptake(headers: Sequence[Dataset], where: str) -> Uptake:
    """The factor of a series, from the headers of its images.

    Raises:
        DataError: fields are missing, or the series says that its values are no SUV by body weight.
    """
    first = headers[0]
    units = {str(header.get("Units", "") or "") for header in headers}
    if len(units) > 1:
        raise DataError(
            f"{where}: images of one PET series have different Units ({', '.join(sorted(units))})."
        )
    match units.pop():
        case "GML":
            return _given(first, where)
        case "BQML":
            return _by_weight(headers, where, 1.0)
        case "CNTS":
            return _philips(headers, where)
        case "":
            raise DataError(_missing(where, ["Units"]))
        case other:
            raise DataError(
                f"{where}: PET values in {other} do not become SUV (expected BQML, GML, or Philips' CNTS).\n"
                f"  {STORED_OPTION}"
            )


def stored_unit(header: Dataset) -> str:
    """What the values of a PET image are measured in, as people write it."""
    units = str(header.get("Units", "") or "")
    return STORED.get(units, units)


def _given(header: Dataset, where: str) -> Uptake:
    kind = str(header.get("SUVType", "") or "BW")  # PS3.3 C.8.9.1: BW where it is absent
    if kind != "BW":
        raise DataError(
            f"{where}: its values are SUV of type {kind}, not by body weight (BW).\n  {STORED_OPTION}"
        )
    return Uptake(1.0, "values are SUV by body weight, as stored")


def _philips(headers: Sequence[Dataset], where: str) -> Uptake:
    """Counts: Philips says in private elements what they stand for."""
    if factor := _number(headers[0], PHILIPS_SUV):
        return Uptake(factor, f"values are SUV by body weight: counts times Philips' factor {factor:.6g}")
    if activity := _number(headers[0], PHILIPS_ACTIVITY):
        return _by_weight(headers, where, activity)
    raise DataError(
        f"{where}: PET values are counts (Units CNTS), and Philips' factors (7053,1000) and (7053,1009), "
        f"which would make SUV of them, are missing: perhaps private elements were removed.\n"
        f"  {STORED_OPTION}"
    )


def _by_weight(headers: Sequence[Dataset], where: str, to_activity: float) -> Uptake:
    first = headers[0]
    tracer = (first.get("RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    decay = str(first.get("DecayCorrection", "") or "")
    weight, dose = _number(first, "PatientWeight"), _number(tracer, "RadionuclideTotalDose")
    half_life = _number(tracer, "RadionuclideHalfLife")
    missing = [
        name
        for name, value in (
            ("PatientWeight", weight), ("RadionuclideTotalDose", dose), ("DecayCorrection", decay),
            ("RadionuclideHalfLife", half_life or decay == "ADMIN"),
        )
        if not value
    ]  # fmt: skip
    if "CorrectedImage" in first and "ATTN" not in first.CorrectedImage:
        raise DataError(
            f"{where}: PET without attenuation correction does not become SUV.\n  {STORED_OPTION}"
        )
    if missing:
        raise DataError(_missing(where, missing))
    assert weight is not None and dose is not None
    if decay == "ADMIN":  # activity as it was at the injection: the dose stays as it is
        return Uptake(
            to_activity * weight * 1000 / dose, _said(weight, dose, "decay corrected to the injection")
        )
    if decay != "START":
        raise DataError(
            f"{where}: PET values without decay correction to one moment (DecayCorrection {decay}; expected "
            f"START or ADMIN) do not become SUV.\n  {STORED_OPTION}"
        )
    assert half_life is not None
    since = _since_injection(headers, tracer, half_life, where)
    left = dose * 2 ** (-since.total_seconds() / half_life)
    minutes = since.total_seconds() / 60
    return Uptake(
        to_activity * weight * 1000 / left, _said(weight, dose, f"decayed for {minutes:.1f} min to the scan")
    )


def _said(weight: float, dose: float, decay: str) -> str:
    return f"values are SUV by body weight: {weight:g} kg, {dose / 1e6:.4g} MBq injected, {decay}"


def _missing(where: str, names: Sequence[str]) -> str:
    return (
        f"{where}: PET values cannot become SUV by body weight: {', '.join(names)} "
        f"{'is' if len(names) == 1 else 'are'} missing in the header.\n"
        f"  Fetch the series again with these fields (de-identification may have removed them).\n"
        f"  {STORED_OPTION}"
    )


# The two moments


def _since_injection(headers: Sequence[Dataset], tracer: Dataset, half_life: float, where: str) -> timedelta:
    scan = _scan_start(headers, half_life)
    if scan is None:
        raise DataError(
            _missing(where, ["SeriesDate and SeriesTime, or AcquisitionDate and AcquisitionTime"])
        )
    injected = _moment(tracer.get("RadiopharmaceuticalStartDateTime"))
    if injected is None:
        injected = _at(scan.strftime("%Y%m%d"), tracer.get("RadiopharmaceuticalStartTime"))
        if injected is not None and injected > scan:  # a time of day without its date, before midnight
            injected -= timedelta(days=1)
    if injected is None:
        raise DataError(
            _missing(where, ["RadiopharmaceuticalStartTime (or RadiopharmaceuticalStartDateTime)"])
        )
    since = scan - injected
    if not timedelta(0) <= since <= timedelta(hours=LONGEST_H):
        raise DataError(
            f"{where}: the tracer was injected {since.total_seconds() / 3600:.1f} h before the scan, by the "
            f"header; expected 0 to {LONGEST_H} h.\n"
            f"  The clocks of RadiopharmaceuticalStartTime and SeriesTime disagree.\n  {STORED_OPTION}"
        )
    return since


def _scan_start(headers: Sequence[Dataset], half_life: float) -> datetime | None:
    """When the scan began: what values are decay corrected to.

    Enhanced objects say it (DecayCorrectionDateTime). Else SeriesTime, unless it is after an acquisition:
    then the series was made anew later.
    """
    first = headers[0]
    if (moment := _moment(first.get("DecayCorrectionDateTime"))) is not None:
        return moment
    series = _at(first.get("SeriesDate"), first.get("SeriesTime"))
    acquired = [_at(h.get("AcquisitionDate"), h.get("AcquisitionTime")) for h in headers]
    starts = sorted(moment for moment in acquired if moment is not None)
    if not starts or (series is not None and series <= starts[0]):
        return series
    private = _moment(first[GE_SCAN].value) if GE_SCAN in first else None
    return private or _back_computed(first, half_life) or starts[0]


def _back_computed(header: Dataset, half_life: float) -> datetime | None:
    """From the moment of the average count rate of a bed position, which the header counts from the start."""
    acquired = _at(header.get("AcquisitionDate"), header.get("AcquisitionTime"))
    reference, duration = _number(header, "FrameReferenceTime"), _number(header, "ActualFrameDuration")
    if acquired is None or not reference or not duration:
        return None
    constant = log(2) / half_life  # per s
    during = constant * duration / 1000
    average = log(during / -expm1(-during)) / constant  # s after the start of the frame
    return acquired - timedelta(milliseconds=reference) + timedelta(seconds=average)


def _at(day: Any, time: Any) -> datetime | None:
    return _moment(f"{day}{time}") if day and time not in (None, "") else None


def _moment(value: Any) -> datetime | None:
    """DICOM's DT, without its zone; None where it is none."""
    text = "" if value is None else str(value).split("+")[0].split("-")[0].strip()
    whole, _, part = text.partition(".")
    try:
        moment = datetime.strptime(whole.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + timedelta(seconds=float(f"0.{part}")) if part.isdigit() else moment


def _number(header: Dataset, name: Any) -> float | None:
    """A finite number above 0, or None."""
    if name not in header:
        return None
    value = header[name].value
    try:
        number = float(value.decode() if isinstance(value, bytes) else value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) and number > 0 else None
