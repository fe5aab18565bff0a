"""Computes the tables of `a-million-studies.md` from measured figures, and writes them into the page.

    python docs/explanations/a_million_studies.py

What was measured is read from `docs/benchmarks.md`, so that new figures there make this page wrong, which a
test tells; what was measured nowhere else stands below with how, and what is assumed is called so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "a-million-studies.md"
BENCHMARKS = HERE.parent / "benchmarks.md"

STUDIES = 1_000_000
SHARD = 10_000  # studies a folder, and a command
DAYS = 30

# A CT of 512 x 512 x 200 through nnU-Net's default network at 1.5 mm (31.2 M parameters, windows of 128^3).
VOXELS = 512 * 512 * 200
WINDOWS = 64
TFLOP_PER_WINDOW = 0.958  # counted from the layers

# Measured on public CT of 3 mm and on a segmentation of 512 x 512 slices, as .nii.gz.
SCAN_BYTES_PER_VOXEL = 1.6
LABEL_BYTES_PER_VOXEL = 0.017
DICOM_BYTES_PER_VOXEL = 2.0

# Measured on loopback, two workers, a busy machine: 2,000 cases that were there already, digests and all.
CASES_PER_SECOND = 130
# Measured on a local disk: a folder of 5,000 files becomes cases at this rate.
LISTED_PER_SECOND = 10_000

HOURS_BETWEEN_FAILURES = 1_000  # of one worker; assumed: six weeks


@dataclass(frozen=True)
class Measured:
    """What `docs/benchmarks.md` says: 30 small scans on two cores, from the start to 30 files."""

    seconds: float
    start_s: float
    tflop: float
    megabytes: float
    ct_seconds: float | None

    @classmethod
    def read(cls) -> Measured:
        """From the text of the page; names what it no longer says."""
        text = BENCHMARKS.read_text(encoding="utf-8")
        row = r"\| not mirrored, beside `--disable_tta` \| [\d.]+ \([\d.]+ s / ([\d.]+) s\) \| "
        row += r"[\d.]+ \(\d+ MB / (\d+) MB\)"
        found = re.search(row, text)
        floor = re.search(r"floor of the first row is\s+([\d.]+)\s+TFLOP", text)
        start = re.search(r"starting up takes\s+([\d.]+)\s+s", text)
        if not (found and floor and start):
            raise ValueError(
                f"{BENCHMARKS.name} words its prediction of 30 hippocampi anew: adapt {__file__}"
            )
        ct = re.search(r"\| CT 512[^|]*25 classes[^|]*bf16[^|]*\| [\d.]+ \([\d.]+ s / ([\d.]+) s\)", text)
        return cls(
            float(found[1]),
            float(start[1]),
            float(floor[1]),
            float(found[2]),
            float(ct[1]) if ct else None,
        )

    @property
    def rate(self) -> float:
        """TFLOP a second that prediction reaches on two cores, everything around it counted."""
        return self.tflop / (self.seconds - self.start_s)

    @property
    def study_s(self) -> float:
        """Seconds of two cores for a CT: measured where it was, else at the rate of small scans."""
        return self.ct_seconds or WINDOWS * TFLOP_PER_WINDOW / self.rate


def tables() -> dict[str, str]:
    """The tables of the page, by name."""
    measured = Measured.read()
    return {"work": work(measured), "failures": failures(measured), "queue": queue(measured)}


def work(measured: Measured) -> str:
    """Time, machines, storage and network."""
    hours = STUDIES * measured.study_s / 3600
    machines = hours / (24 * DAYS)
    scan, labels = VOXELS * SCAN_BYTES_PER_VOXEL, VOXELS * LABEL_BYTES_PER_VOXEL
    per_second = STUDIES * (scan + labels) / (DAYS * 86400)
    how = (
        "measured"
        if measured.ct_seconds
        else f"{WINDOWS} windows at {measured.rate:.2f} TFLOP/s, as measured"
    )
    return lines(
        ("what", "a study", "a million", "how it is known"),
        ("prediction, two cores, bf16", f"{measured.study_s:.0f} s", f"{hours:,.0f} machine hours", how),
        ("core hours", f"{2 * measured.study_s / 3600:.2f}", f"{2 * hours:,.0f}", "two cores a machine"),
        (f"machines of two cores for {DAYS} days", "", f"{machines:,.0f}", "hours / (24 x days)"),
        (
            "scan as DICOM",
            megabytes(VOXELS * DICOM_BYTES_PER_VOXEL),
            terabytes(VOXELS * DICOM_BYTES_PER_VOXEL),
            "16 bits",
        ),
        ("scan as .nii.gz", megabytes(scan), terabytes(scan), f"{SCAN_BYTES_PER_VOXEL:g} bytes a voxel"),
        (
            "labels as .nii.gz",
            megabytes(labels),
            terabytes(labels),
            f"{LABEL_BYTES_PER_VOXEL:g} bytes a voxel",
        ),
        (
            "network, all machines",
            "",
            f"{8 * per_second / 1e9:.2f} Gbit/s",
            f"scan in, labels out, {DAYS} days",
        ),
    )


def failures(measured: Measured) -> str:
    """What a dead worker, scheduler or command costs."""
    hours = STUDIES * measured.study_s / 3600
    machines = hours / (24 * DAYS)
    deaths = hours / HOURS_BETWEEN_FAILURES
    lost_h = deaths * (measured.study_s / 2 + measured.start_s) / 3600
    looked_h = STUDIES / CASES_PER_SECOND / 3600
    return lines(
        ("what dies", "how often", "what is lost", "what is done again"),
        (
            "a worker",
            f"{deaths:,.0f} times, one in {HOURS_BETWEEN_FAILURES:,} hours assumed",
            f"{lost_h:.1f} machine hours in all ({lost_h / hours:.3%})",
            "the study that it had in hand",
        ),
        (
            "the scheduler or the command, without shards",
            "once",
            f"{machines * measured.study_s / 2 / 3600:.1f} machine hours",
            f"a look at a million results: {looked_h:.1f} h",
        ),
        (
            f"the same with shards of {SHARD:,}",
            "once",
            "the same",
            f"a look at {SHARD:,}: {SHARD / CASES_PER_SECOND / 60:.1f} min",
        ),
    )


def queue(measured: Measured) -> str:
    """How busy the scheduler is."""
    machines = STUDIES * measured.study_s / 3600 / (24 * DAYS)
    needed = machines / measured.study_s
    most = CASES_PER_SECOND * measured.study_s
    return lines(
        ("what", "figure"),
        ("studies a second, all machines", f"{needed:.2f}"),
        ("that one scheduler hands out, measured", f"{CASES_PER_SECOND} a second"),
        ("machines at which that would be the limit", f"{round(most, -3):,.0f}"),
        (f"listing a shard of {SHARD:,}", f"{SHARD / LISTED_PER_SECOND:.0f} s"),
        ("listing a million at once", f"{STUDIES / LISTED_PER_SECOND / 60:.0f} min"),
    )


def megabytes(size: float) -> str:
    """Bytes of one study."""
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"


def terabytes(size: float) -> str:
    """Bytes of all of them."""
    return f"{STUDIES * size / 1e12:.1f} TB"


def lines(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = rows
    shown = ["| " + " | ".join(row) + " |" for row in (head, *body)]
    return "\n".join([shown[0], "|---" * len(head) + "|", *shown[1:]])


def page() -> str:
    """The page with its tables computed anew."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"{PAGE.name}: has no place for the table {name!r}")
        before, _, rest = text.partition(begin)
        text = before + begin + table + "\n" + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
