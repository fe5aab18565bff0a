"""Identity: which patient and which examination a DICOM scan is of, without naming anybody.

Only for finding scans of one person on two sides of a split: the patient comes back as a digest, which is
compared and never stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from delineate.io.read import READERS, suffix_of


@dataclass(frozen=True)
class Identity:
    """Digests of the Patient ID and its issuer, and of the Study Instance UID; "" where a header is silent.

    PS3.3 C.7.1.1 and C.7.2.1.
    """

    patient: str
    study: str


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
    tags = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID"]
    header = dataset(first, stop_before_pixels=True, specific_tags=tags)
    with reading(first, "DICOM", private=True), quiet("pydicom"):  # values are parsed as they are asked for
        patient, issuer, study = (f"{header.get(name) or ''}" for name in tags)
    return Identity(_digest(f"{issuer}\n{patient}") if patient else "", _digest(study) if study else "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
