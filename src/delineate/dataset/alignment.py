"""Alignment: whether the channels of a case show the patient in one place.

A patient who moved between two sequences leaves grids that agree and images that do not. Each channel is
registered, rigidly and on few voxels, to the first one of its case; more than a voxel is worth a look.
"""

from __future__ import annotations

from collections.abc import Iterator

from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.problem import Problem, note, warning
from delineate.errors import Error
from delineate.space import Alignment, RegistrationRules, Volume, register

QUICK = RegistrationRules(
    levels=(4, 2, 1), voxels=1 << 17
)  # a head at 4 mm: tells half a millimetre, in a second
MOST = 1.0  # voxels, at the corners of what a scan shows


def apart(dataset: Dataset, case: Case) -> Iterator[Problem]:
    """A warning for each channel that lies more than a voxel from the first one of its case."""
    try:
        scan = dataset.scan(case)
    except Error:  # named by `check` itself
        return
    first = _channel(scan, 0)
    for n, name in enumerate(scan.channels[1:], 1):
        try:
            found = register(first, _channel(scan, n), QUICK)
        except Error as wrong:
            yield note(
                "alignment-unknown",
                case.id,
                f"{case.id}: whether {name} lies on {scan.channels[0]} cannot be told: {wrong}",
                "Look at both, one over the other.",
            )
            continue
        if found.voxels > MOST:
            yield _misaligned(case, scan.channels[0], name, found)


def _channel(scan: Volume, n: int) -> Volume:
    return Volume(scan.array[n : n + 1], scan.geometry, scan.channels[n : n + 1], scan.source)


def _misaligned(case: Case, first: str, name: str, found: Alignment) -> Problem:
    return warning(
        "misaligned",
        case.id,
        f"{case.id}: {name} lies up to {found.displacement_mm:.1f} mm ({found.voxels:.1f} voxels) from "
        f"{first}, turned by {found.rotation_deg:.1f} degrees.",
        "Look at both, one over the other. If the patient moved, put them onto each other before training:  "
        "delineate align DATASET OUT",
    )
