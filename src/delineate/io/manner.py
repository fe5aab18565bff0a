"""Manner: how a DICOM series is read where there is a choice. Nothing of it is done unasked, or unsaid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PetValues = Literal["suv", "stored"]


@dataclass(frozen=True)
class Manner:
    """What is asked of the reader of DICOM series; files of other formats are read as they are.

    straighten  slices that lean, are unevenly spaced or lack one are interpolated onto an even upright grid,
                and channels of one frame of reference onto that of the first
    pet         "suv": values of PET become SUV by body weight, or the series is refused with what is missing;
                "stored": in the unit of the file
    film        the pictures of a film (an ultrasound loop) become planes along k, which is then time
    """

    straighten: bool = False
    pet: PetValues = "suv"
    film: bool = False


PLAIN = Manner()
