"""A phantom head as a DICOM study, and a real Orthanc to keep it: shared by stories and by how-to pages."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from delineate.space import Geometry, LabelMap
from delineate.space.phantoms import head

MR = "1.2.840.10008.5.1.4.1.1.4"
PATIENT, PATIENT_ID = "Quillfeather^Ada", "QF-20077"
PLUGINS = Path("/usr/share/orthanc/plugins")
LPS = np.array([-1.0, -1.0, 1.0])


def head_affine() -> np.ndarray:
    """Axial slices as scanners count them: columns to the left, rows to posterior; 8 x 8 x 9 mm."""
    affine = np.diag([-8.0, -8.0, 9.0, 1.0])
    affine[:3, 3] = (68, 92, -76)
    return affine


def write_head_study(folder: Path, *, seed: int = 40, grid: Geometry | None = None) -> LabelMap:
    """A phantom head in four series as a DICOM study of somebody, and where its tumour is."""
    grid = grid or Geometry((18, 22, 18), head_affine())
    scan, labels = head(np.random.default_rng(seed), grid=grid, tumour_mm=26)
    study, frame = generate_uid(), generate_uid()
    for number, (channel, array) in enumerate(zip(scan.channels, scan.array, strict=True), 1):
        values = np.clip(array - min(array.min(), 0), 0, None)
        pixels = (values * (4000 / values.max())).astype(np.uint16)
        about = {
            "StudyInstanceUID": study,
            "FrameOfReferenceUID": frame,
            "SeriesInstanceUID": generate_uid(),
            "SeriesNumber": number,
            "SeriesDescription": f"{channel} AX HEAD",
        }
        (folder / channel).mkdir(parents=True)
        for k in range(pixels.shape[2]):
            item = _slice(pixels[:, :, k], grid, k, about)
            item.save_as(folder / channel / f"{k:03d}.dcm", enforce_file_format=True)
    return labels


def _slice(pixels: np.ndarray, grid: Geometry, k: int, about: dict[str, object]) -> Dataset:
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID, item.SOPInstanceUID = MR, generate_uid()
    item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = PATIENT, PATIENT_ID, "", "F"
    item.StudyDate, item.StudyTime, item.StudyID = time.strftime("%Y%m%d"), "120000", "1"
    item.Modality, item.BodyPartExamined, item.AccessionNumber = "MR", "HEAD", ""
    item.ReferringPhysicianName, item.StudyDescription = "", "MR HEAD"
    columns, rows, _ = (LPS * axis / np.linalg.norm(axis) for axis in grid.affine[:3, :3].T)
    item.ImagePositionPatient = [f"{x:.6f}" for x in LPS * grid.to_world(np.array([0.0, 0.0, float(k)]))]
    item.ImageOrientationPatient = [f"{x:.6f}" for x in (*columns, *rows)]
    item.PixelSpacing = [grid.spacing[1], grid.spacing[0]]
    item.SliceThickness, item.SpacingBetweenSlices = grid.spacing[2], grid.spacing[2]
    item.InstanceNumber, item.ImageType = k + 1, ["ORIGINAL", "PRIMARY", "M"]
    item.Columns, item.Rows = pixels.shape
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated = item.BitsStored = 16
    item.HighBit, item.PixelRepresentation = 15, 0
    item.WindowCenter, item.WindowWidth = 2000, 4000
    item.PixelData = np.ascontiguousarray(pixels.T).tobytes()
    for name, value in about.items():
        setattr(item, name, value)
    return item


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def has_orthanc() -> bool:
    """Whether Orthanc and its DICOMweb plugin are installed."""
    return bool(shutil.which("Orthanc")) and (PLUGINS / "libOrthancDicomWeb.so").exists()


@contextmanager
def orthanc(folder: Path, listener: int | None = None) -> Iterator[tuple[str, str]]:
    """An Orthanc on this machine while the context lasts: its DICOMweb address and its DIMSE address.

    listener  the port at which DELINEATE receives
    """
    web, dicom = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": web,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {"us": ["DELINEATE", "127.0.0.1", listener or free_port()]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = (folder / "log").open("w")
    with log, subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{web}/system", process)
            yield f"http://127.0.0.1:{web}/dicom-web", f"ORTHANC@127.0.0.1:{dicom}"
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "Orthanc ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("Orthanc does not answer")


def rules(model: Path) -> str:
    """The rule for the study above, as people write it."""
    channels = "\n".join(
        f'[rules.channels.{name}]\nseries = ["{name} *"]' for name in ("T1", "T1c", "T2", "FLAIR")
    )
    return f"""
[[rules]]
name = "head tumour"
model = "{model}"
drawn_on = "T1c"
match.modality = ["MR"]
match.body_part = ["HEAD", "BRAIN"]
match.images = [10, 400]
{channels}
"""
