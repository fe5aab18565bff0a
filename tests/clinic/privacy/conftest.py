"""What tests of de-identification share."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from delineate.clinic.privacy import Key
from delineate.clinic.privacy.header import Rules
from delineate.clinic.privacy.known import Known, of_names, of_values
from delineate.clinic.privacy.table import Option, Profile

KEY = Key(b"k" * 32)


@pytest.fixture
def key() -> Key:
    """The same for all tests."""
    return KEY


@pytest.fixture
def image():
    """Makes one small slice of somebody."""

    def make(**fields: object) -> Dataset:
        content = Dataset()
        content.file_meta = FileMetaDataset()
        content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content.SOPClassUID, content.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6"
        content.StudyInstanceUID, content.SeriesInstanceUID = "1.2.3.4.5", "1.2.3.4.5.7"
        content.PatientName, content.PatientID, content.Modality = "Quillfeather^Ada", "QF-20077", "CT"
        content.Rows = content.Columns = 8
        content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
        content.BitsAllocated, content.BitsStored, content.HighBit, content.PixelRepresentation = (
            16,
            16,
            15,
            0,
        )
        content.PixelData = np.arange(64, dtype=np.uint16).tobytes()
        for name, value in fields.items():
            setattr(content, name, value)
        return content

    return make


@pytest.fixture
def save():
    """Writes an object as a file."""

    def write(content: Dataset, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        content.file_meta.MediaStorageSOPClassUID = content.SOPClassUID
        content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID
        pydicom.dcmwrite(path, content, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def rules():
    """Makes rules for Ada Quillfeather with some options."""

    def make(*options: Option, known: Known | None = None) -> Rules:
        default = of_names(["Quillfeather^Ada"]) | of_values(["QF-20077"])
        return Rules(KEY, Profile(options), KEY.pseudonym("QF-20077"), -100, known or default)

    return make
