"""Identity: which patient, examination and coordinates a DICOM scan has, without naming anybody.

Only for finding scans of one person on two sides of a split, and scans that lie in the same coordinates: what
comes back are digests, which are compared and never stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from delineate.io.read import READERS, suffix_of


@dataclass(frozen=True)
class Identity:
    """Digests of the Patient ID and its issuer, and of the UIDs of study and frame of reference.

    Each is "" where a header is silent. PS3.3 C.7.1.1, C.7.2.1 and C.7.4.1.
    """

    patient: str
    study: str
    frame: str = ""


def read_identity(path: Path) -> Identity | None:
    """Whose a DICOM file or folder is; None for other formats, which do not say."""
    if not path.is_dir() and READERS.get(suffix_of(path), "dicom") != "dicom":
        return None
    from delineate.io.foreign import quiet, reading
    from delineate.io.frames import dataset, is_dicom

    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    first = next((file for file in files if file.is_file() and is_dicom(file)), None)
    if first is None:
        return None
    tags = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID", "FrameOfReferenceUID"]
    header = dataset(first, stop_before_pixels=True, specific_tags=tags)
    with reading(first, "DICOM", private=True), quiet("pydicom"):  # values are parsed as they are asked for
        patient, issuer, study, frame = (f"{header.get(name) or ''}" for name in tags)
    whose = f"{issuer}\n{patient}" if patient else ""
    return Identity(_digest(whose), _digest(study), _digest(frame))


def _digest(text: str) -> str:
    return text and hashlib.sha256(text.encode()).hexdigest()
