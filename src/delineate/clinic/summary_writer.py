"""Summary out: the page of a result as PDF and PNG, and its PDF as a DICOM object for the archive.

Source: PS3.3 A.45.1 (Encapsulated PDF), C.24.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydicom import dcmwrite
from pydicom.sequence import Sequence as Items

from delineate.clinic.header import coded, date, header, series_number, short, time
from delineate.clinic.result import Result, Uids, new_uid
from delineate.clinic.sr_writer import REPORT
from delineate.clinic.summary import as_bytes
from delineate.clinic.written import Written
from delineate.io.disk import replacing, write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SERIES_OFFSET = 6000  # keeps results after the images in lists that sort by SeriesNumber


def write_page(result: Result, path: Path, page: Figure, form: Literal["pdf", "png"]) -> Written:
    """Writes the page of a result as one file."""
    write_bytes(path, as_bytes(page, form, result.when))
    return Written(form.upper(), path)


def write_encapsulated(result: Result, path: Path, pdf: Written, *, uids: Uids = new_uid) -> Written:
    """Writes a PDF as a DICOM object of the study and returns its identity. The object names the patient."""
    sop_uid, series_uid = uids(), uids()
    content, notes = header(result, PDF, sop_uid, series_uid)
    del content.FrameOfReferenceUID, content.PositionReferenceIndicator
    content.Modality, content.ConversionType = "DOC", "WSD"
    content.SeriesNumber = series_number(result, SERIES_OFFSET)
    content.SeriesDescription = short(f"Summary {result.maker.name} {result.maker.version}", 64)
    content.ContentDate, content.ContentTime = date(result.when), time(result.when)
    content.AcquisitionDateTime = ""
    content.BurnedInAnnotation = "YES"  # structures and the model; names where they were asked for
    content.DocumentTitle = "Segmentation summary"
    content.ConceptNameCodeSequence = Items([coded(REPORT)])
    content.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document = pdf.path.read_bytes()
    content.EncapsulatedDocumentLength = len(document)
    content.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    with replacing(path) as temporary:
        dcmwrite(temporary, content, enforce_file_format=True)
    return Written("DOC", path, PDF, sop_uid, series_uid, notes=notes)
