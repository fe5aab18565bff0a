"""Segmentation objects: a CT of 1,000 slices with 100 structures as DICOM SEG, beside highdicom alone.

    python -m benchmarks segmentation_objects WORK [--slices 1000] [--edge 512] [--segments 100]

WORK is a folder for headers, labels and objects (1 GB). Structures are balls on a lattice, one to each cell.
Both sides get the label map in memory and the headers of the images, which need no pixels for this; each
writes BINARY and LABELMAP in a process of its own, which tells its seconds, its processor seconds, its peak
memory and what of that was there before. Objects are equal where every frame, by its segment and its source
image, holds the same bits: both files are taken apart by pydicom alone.

highdicom 0.28 (dev extra) is called as its documentation shows: `Segmentation(...)`, `save_as`. Ours is
`make_result`, `write_seg`; the read-back before a delivery is timed beside it, and is not part of the ratio.

The floor. BINARY has F frames of 512 x 512 / 8 bytes, 33 kB each: for 100 balls through a tenth of the slices
each some 10,000 frames, 330 MB, a second to write. Each frame is a comparison of 262,144 bytes and their
packing, 60 µs: 0.6 s. LABELMAP is 262 MB as they are, with nothing to work out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

KINDS = ("BINARY", "LABELMAP")
SIDES = ("delineate", "highdicom")
CT = "1.2.840.10008.5.1.4.1.1.2"
GAP = 1.0
LATTICE = (5, 5)  # cells in a plane; the rest lie along k


def main(words: list[str]) -> None:
    """Makes the study once, runs each side on each kind, compares, and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--segments", type=int, default=100)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "KIND"), help="what a process of its own does")
    given = parser.parse_args(words)
    if given.one:
        print(json.dumps(_one(given.work, *given.one)))
        return
    _study(given.work, given.slices, given.edge, given.segments)
    told: dict[tuple[str, str], dict[str, float]] = {}
    for kind in KINDS:
        for side in SIDES:
            told[side, kind] = _asked(given.work, side, kind)
            print(side, kind, told[side, kind], flush=True)
        same = _frames(given.work / f"delineate_{kind}.dcm") == _frames(given.work / f"highdicom_{kind}.dcm")
        assert same, f"{kind}: the two objects differ"
        print(f"{kind}: every frame holds the same bits", flush=True)
    _print(told)


def _asked(work: Path, side: str, kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks", "segmentation_objects", str(work), "--one", side, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} {kind}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _print(told: dict[tuple[str, str], dict[str, float]]) -> None:
    print("\n| object | time | processor | peak memory | of which new | size |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        ours, theirs = told["delineate", kind], told["highdicom", kind]
        cells = [kind]
        for key, form in (
            ("s", "{:.1f} s"),
            ("cpu_s", "{:.1f} s"),
            ("mb", "{:.0f} MB"),
            ("new_mb", "{:.0f} MB"),
        ):
            ratio = theirs[key] / ours[key]
            cells.append(f"{ratio:.1f} ({form.format(theirs[key])} / {form.format(ours[key])})")
        cells.append(f"{theirs['size_mb']:.0f} MB / {ours['size_mb']:.0f} MB")
        print("| " + " | ".join(cells) + " |")
    for kind in KINDS:
        print(f"{kind}: read back before delivery in {told['delineate', kind]['read_back_s']:.1f} s")


# The study


def _study(work: Path, slices: int, edge: int, segments: int) -> None:
    """Headers of a CT without pixels, and labels (i, j, k); made once."""
    shape = work / "shape.json"
    if shape.is_file() and json.loads(shape.read_text()) == [slices, edge, segments]:
        return
    folder = work / "series"
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(slices):
        _header(k, edge).save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)
    np.save(work / "labels.npy", _balls(slices, edge, segments))
    shape.write_text(json.dumps([slices, edge, segments]))


def _balls(slices: int, edge: int, segments: int) -> Any:
    layers = -(-segments // (LATTICE[0] * LATTICE[1]))
    cell = np.array([edge / LATTICE[0], edge / LATTICE[1], slices / layers])
    array = np.zeros((edge, edge, slices), np.uint8)
    radius = cell.min() * 0.48
    for n in range(segments):
        place = np.array([n % LATTICE[0], n // LATTICE[0] % LATTICE[1], n // (LATTICE[0] * LATTICE[1])])
        centre = (place + 0.5) * cell
        low = np.floor(centre - radius).astype(int).clip(0)
        box = tuple(slice(a, int(b)) for a, b in zip(low, np.ceil(centre + radius) + 1, strict=True))
        lines = np.ogrid[box]
        far = sum((line - middle) ** 2 for line, middle in zip(lines, centre, strict=True))
        array[box][far[: array[box].shape[0], : array[box].shape[1], : array[box].shape[2]] < radius**2] = (
            n + 1
        )
    return array


def _header(k: int, edge: int) -> Dataset:
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID, item.SOPInstanceUID = CT, f"1.2.3.4.{k + 1}"
    item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = "P", "P", "", "O"
    item.StudyInstanceUID, item.SeriesInstanceUID, item.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    item.StudyDate, item.StudyTime, item.StudyID, item.AccessionNumber = "20260101", "120000", "1", ""
    item.ReferringPhysicianName, item.Modality, item.SeriesNumber = "", "CT", 3
    item.ImagePositionPatient, item.ImageOrientationPatient = [0, 0, k * GAP], [1, 0, 0, 0, 1, 0]
    item.PixelSpacing, item.SliceThickness = [0.8, 0.8], GAP
    item.Rows = item.Columns = edge
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated = item.BitsStored = 16
    item.HighBit, item.PixelRepresentation = 15, 0
    return item


# One side, in a process of its own


def _one(work: Path, side: str, kind: str) -> dict[str, float]:
    warnings.simplefilter("ignore")
    array, path = np.load(work / "labels.npy"), work / f"{side}_{kind}.dcm"
    path.unlink(missing_ok=True)
    prepared = _ours(work, array) if side == "delineate" else _theirs(work, array)
    me = psutil.Process()
    before, start, busy = me.memory_info().rss, time.perf_counter(), time.process_time()
    result = prepared(path, kind)
    told = {"s": time.perf_counter() - start, "cpu_s": time.process_time() - busy}
    peak = _peak()
    told |= {"mb": peak / 1e6, "new_mb": (peak - before) / 1e6, "size_mb": path.stat().st_size / 1e6}
    if side == "delineate":
        start = time.perf_counter()
        _read_back(work, path, result)
        told["read_back_s"] = time.perf_counter() - start
    return told


def _peak() -> float:
    """The largest resident memory of this process so far, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _ours(work: Path, array: Any) -> Any:
    from delineate.clinic import Codes, Maker, make_result, open_series, write_seg
    from delineate.space import Label, LabelMap, LabelSchema

    series = open_series(work / "series")
    count = int(array.max())
    schema = LabelSchema(
        labels=tuple(
            Label(value=n, name=f"ball {n}", code=f"99BENCH:{n}:Ball {n}") for n in range(1, count + 1)
        )
    )
    labels = LabelMap(array, series.geometry, schema)

    def write(path: Path, kind: Any) -> Any:
        result = make_result(labels, series, Maker(), when=datetime(2026, 1, 1), codes=Codes.shipped())
        return result, write_seg(result, path, kind)

    return write


def _read_back(work: Path, path: Path, told: Any) -> None:
    from delineate.clinic import readback
    from delineate.clinic.agreement import agreed

    result, made = told
    agreed(result, made, readback.images(sorted((work / "series").iterdir())), {}, {})


def _theirs(work: Path, array: Any) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    images = [pydicom.dcmread(path) for path in sorted((work / "series").iterdir())]
    about = [
        highdicom.seg.SegmentDescription(
            n, f"ball {n}", codes.SCT.AnatomicalStructure, codes.SCT.Organ, "MANUAL"
        )
        for n in range(1, int(array.max()) + 1)
    ]

    def write(path: Path, kind: str) -> None:
        pixels = np.ascontiguousarray(array.transpose(2, 1, 0))
        made = highdicom.seg.Segmentation(
            images, pixels, kind, about, highdicom.UID(), 1, highdicom.UID(), 1, "m", "m", "1", "1"
        )
        made.save_as(path)

    return write


# Equality, by pydicom alone


def _frames(path: Path) -> dict[tuple[int, str], str]:
    """What each frame that is not empty holds, by its segment (0 in a label map) and source image."""
    content = pydicom.dcmread(path)
    size, bits = content.Rows * content.Columns, content.BitsAllocated
    stored = np.frombuffer(content.PixelData, np.uint8)
    found = {}
    for n, group in enumerate(content.PerFrameFunctionalGroupsSequence):
        if bits == 1:
            start = n * size // 8
            frame = np.unpackbits(stored[start : start + size // 8], bitorder="little")
        else:
            frame = np.frombuffer(content.PixelData, f"<u{bits // 8}", size, n * size * bits // 8)
        if frame.any():
            named = group.get("SegmentIdentificationSequence")
            segment = int(named[0].ReferencedSegmentNumber) if named else 0
            source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            found[segment, str(source)] = hashlib.sha256(frame.astype(np.uint16).tobytes()).hexdigest()
    return found
