"""Writes definitions.md, the page of surface measures: each beside the numbers of other tools.

python docs/reference/definitions.py

What the tools said is stored in tests/evaluation/golden/surfaces.json, with their versions; the script beside
it asks them again. What is said here is computed when the page is written.
"""

import base64
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from delineate.evaluation import MEASURES, Confusion, Rules
from delineate.evaluation.measures import Pair, measured
from delineate.evaluation.measures.surfaces import DIRECTED, SURFACES
from delineate.space import Geometry

PAGE = Path(__file__).with_name("definitions.md")
STORED = Path(__file__).parents[2] / "tests" / "evaluation" / "golden" / "surfaces.json"
NAMES = tuple(measure.name for measure in (*SURFACES, *DIRECTED))

HEAD = """# Surface measures

Programs that say "HD95" do not mean the same number. Here every definition has a name of its own, and this
page says which name stands for which number of which tool. Nothing on it is copied from papers: it is written
by `docs/reference/definitions.py` from numbers that the tools gave, stored in
`tests/evaluation/golden/surfaces.json`, and from what is computed here.
[Which one to choose](../explanations/which-surface-measure.md) is another page.
"""

NAMES_HEAD = """## Names

Ask for any of them: `Rules(metrics=...)`, `delineate evaluate --metrics`. A share within tolerance has more
names, for several tolerances at once: `nsd@1`, `nsd@2.5`, `nsd_area@3`.

| name | title | definition |
|---|---|---|"""

MATRIX_HEAD = """## Largest differences

Over {cases} pairs of masks, {volumes} volumes and {pictures} pictures: seven constructed ones, and random
blobs with random spacing, of which half touch the end of the grid. In mm; shares as shares; 0 is below 1e-12.
"""

MATRIX_FOOT = """MONAI computes in single precision, percentiles too. In pictures, MeshMetrics 1.0.0 rounds to
single precision, and leaves a contour open where the mask touches the end of the picture: those {open}
pictures are left out of its column; there the largest difference is {gap:.0f} mm. BraTS 2023 and pymia, which
measure volumes only, call DeepMind's code or a copy of it.
"""

CALLS_HEAD = """## What a tool's number is called here

| tool | call | name here |
|---|---|---|"""

OTHER_HEAD = """## Numbers that are not here

| tool | call | nearest name here | largest difference | why |
|---|---|---|---|---|"""

EMPTY_HEAD = """## Empty masks

What is said of an empty mask is a convention. Here it is chosen in `Rules` and printed with every value;
[this page](../explanations/metrics-and-empty-masks.md) tells how.

| here | | both empty | reference empty | prediction empty |
|---|---|---|---|---|"""

EMPTY_OTHERS_HEAD = """
Other tools, with NumPy 2. AttributeError and IndexError are not what was meant: surface-distance 0.1 asks
NumPy for an infinity that has another name now, and MetricsReloaded for a percentile of nothing.

| tool | calls | both empty | reference empty | prediction empty |
|---|---|---|---|---|"""

# Tool -> its call -> the name of that number here.
SAME: dict[str, dict[str, str]] = {
    "MedPy": {
        "hd": "hd",
        "hd95": "hd95_pooled",
        "assd": "assd",
        "asd(result, reference)": "asd_from_prediction",
        "asd(reference, result)": "asd_from_reference",
    },
    "MONAI": {
        "compute_hausdorff_distance": "hd",
        "compute_hausdorff_distance(percentile=95)": "hd95",
        "compute_hausdorff_distance(directed=True)": "hd_from_prediction",
        "compute_hausdorff_distance(percentile=95, directed=True)": "hd95_from_prediction",
        "compute_average_surface_distance(symmetric=True)": "assd",
        "compute_average_surface_distance": "asd_from_prediction",
        "compute_surface_dice": "nsd",
        "compute_surface_dice(use_subvoxels=True)": "nsd_area",
    },
    "DeepMind surface-distance": {
        "compute_robust_hausdorff(100)": "hd_area",
        "compute_robust_hausdorff(95)": "hd95_area",
        "compute_average_surface_distance, first": "asd_area_from_reference",
        "compute_average_surface_distance, second": "asd_area_from_prediction",
        "compute_surface_overlap_at_tolerance, first": "nsd_area_from_reference",
        "compute_surface_overlap_at_tolerance, second": "nsd_area_from_prediction",
        "compute_surface_dice_at_tolerance": "nsd_area",
    },
    "BraTS 2023": {"Legacy_HD95": "hd95_area"},
    "MetricsReloaded": {
        "measured_hausdorff_distance": "hd",
        "measured_hausdorff_distance_perc": "hd95",
        "measured_average_distance": "assd",
        "measured_masd": "masd",
        "normalised_surface_distance": "nsd",
    },
    "MeshMetrics": {
        "hd": "hd_mesh",
        "hd(95)": "hd95_mesh",
        "assd": "assd_mesh",
        "masd": "masd_mesh",
        "nsd": "nsd_mesh",
    },
    "pymia": {
        "HausdorffDistance(100)": "hd_area",
        "HausdorffDistance(95)": "hd95_area",
        "SurfaceDiceOverlap": "nsd_area",
        "SurfaceOverlap(prediction_to_reference=False)": "nsd_area_from_reference",
        "SurfaceOverlap": "nsd_area_from_prediction",
    },
}

# Tool -> its call -> the nearest name here, and why it is another number.
OTHER: dict[str, dict[str, tuple[str, str]]] = {
    "SimpleITK": {
        "GetHausdorffDistance": ("hd", "from all voxels of a mask, not from its border, to the other mask"),
        "GetAverageHausdorffDistance": ("masd", "mean over all voxels: those that both have count as 0"),
    },
    "seg-metrics": {
        "hd": ("hd", "border by faces, edges and corners; distance to the outline of the mask"),
        "hd95": ("hd95_pooled", "the same"),
        "msd": ("assd", "the same"),
        "hd, fullyConnected=False": ("hd", "border by faces; distance to the outline of the mask"),
        "hd95, fullyConnected=False": ("hd95_pooled", "the same"),
        "msd, fullyConnected=False": ("assd", "the same"),
    },
}

VERSIONS = {"BraTS 2023": "as it calls surface-distance "}


@cache
def stored() -> dict[str, Any]:
    """What the tools said."""
    return json.loads(STORED.read_text())  # type: ignore[no-any-return]


@cache
def masks_of(case: str) -> tuple[Any, Any, Geometry, float]:
    """Reference, prediction, grid and tolerance of a stored case; a picture is one voxel thick."""
    found = stored()["cases"][case]
    shape = tuple(found["shape"])
    masks = []
    for text in (found["reference"], found["prediction"]):
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
        mask = np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
        masks.append(mask[..., None] if mask.ndim == 2 else mask)
    spacing = [*found["spacing"], *[1.0] * (3 - len(shape))]
    return masks[0], masks[1], Geometry(masks[0].shape, np.diag([*spacing, 1.0])), found["tolerance"]


@cache
def ours(case: str) -> dict[str, float]:
    """Name -> what is said here of a stored case."""
    reference, prediction, grid, tolerance = masks_of(case)
    pair = Pair(
        reference,
        prediction,
        np.ones(grid.shape, bool),
        grid,
        Confusion.of(reference, prediction),
        diagonal_mm=float(np.linalg.norm(np.array(grid.shape) * grid.spacing)),
    )
    found = measured(pair, Rules(metrics=NAMES, tolerance_mm=tolerance))
    return {name: value for name, (value, _) in found.items() if value is not None}


def touches_end(case: str) -> bool:
    """Whether a mask of a case reaches the end of its grid."""
    reference, prediction, *_ = masks_of(case)
    there = reference | prediction
    return any(
        np.moveaxis(there, axis, 0)[end].any()
        for axis, n in enumerate(there.shape)
        if n > 1
        for end in (0, -1)
    )


def is_open(tool: str, case: str) -> bool:
    """Whether a tool leaves a contour of this case open."""
    return tool == "MeshMetrics" and case.startswith("picture") and touches_end(case)


def difference(tool: str, call: str, name: str, *, of_open: bool = False) -> float:
    """The largest difference over cases between a tool's call and a name here."""
    values = stored()["tools"][tool]["values"][call]
    return max(
        abs(value - ours(case)[name]) for case, value in values.items() if is_open(tool, case) == of_open
    )


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, _names(), _matrix(), _calls(), _others(), _empty()])


def _names() -> str:
    rows = [f"| `{name}` | {MEASURES[name].title} | {MEASURES[name].definition} |" for name in NAMES]
    return "\n".join([NAMES_HEAD, *rows, ""])


def _matrix() -> str:
    rows = []
    for name in NAMES:
        calls = {tool: call for tool, same in SAME.items() for call, one in same.items() if one == name}
        cells = [_cell(difference(tool, calls[tool], name)) if tool in calls else "" for tool in SAME]
        if calls:
            rows.append(f"| `{name}` | {' | '.join(cells)} |")
    cases = stored()["cases"]
    pictures = sum(len(case["shape"]) == 2 for case in cases.values())
    return "\n".join(
        [
            MATRIX_HEAD.format(cases=len(cases), volumes=len(cases) - pictures, pictures=pictures),
            "| name | " + " | ".join(SAME) + " |",
            "|---" * (len(SAME) + 1) + "|",
            *rows,
            "",
            "| tool | version |",
            "|---|---|",
            *(f"| {tool} | {VERSIONS.get(tool, '')}{stored()['tools'][tool]['version']} |" for tool in SAME),
            "",
            MATRIX_FOOT.format(
                open=sum(is_open("MeshMetrics", case) for case in cases),
                gap=difference("MeshMetrics", "hd", "hd_mesh", of_open=True),
            ),
        ]
    )


def _calls() -> str:
    rows = [
        f"| {tool} | `{call}` | `{name}` |" for tool, calls in SAME.items() for call, name in calls.items()
    ]
    return "\n".join([CALLS_HEAD, *rows, ""])


def _others() -> str:
    rows = []
    for tool, calls in OTHER.items():
        named = f"{tool} {stored()['tools'][tool]['version']}"
        for call, (name, why) in calls.items():
            rows.append(f"| {named} | `{call}` | `{name}` | {difference(tool, call, name):.2g} | {why} |")
    return "\n".join([OTHER_HEAD, *rows, ""])


def _empty() -> str:
    rows = []
    for tool, found in stored()["tools"].items():
        together: dict[tuple[str, ...], list[str]] = {}
        for call, said in found["empty"].items():
            together.setdefault(tuple(map(_answer, said.values())), []).append(f"`{call}`")
        rows += [f"| {tool} | {', '.join(calls)} | {' | '.join(said)} |" for said, calls in together.items()]
    return "\n".join([EMPTY_HEAD, *_own_answers(), EMPTY_OTHERS_HEAD, *rows, ""])


def _own_answers() -> list[str]:
    grid = Geometry((12, 12, 12), np.eye(4))
    full, none = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    full[3:6, 3:7, 3:8] = True
    rows = []
    for words, rules in (
        ("the default", {}),
        ('`empty="one"`', {"empty": "one"}),
        ('`missed="diagonal"`', {"missed": "diagonal"}),
        ('`empty="reference"`', {"empty": "reference"}),
    ):
        for what, name in (("distances", "hd95"), ("shares", "nsd")):
            cells = []
            for pair in ((none, none), (none, full), (full, none)):
                one = Pair(*pair, np.ones(grid.shape, bool), grid, Confusion.of(*pair), diagonal_mm=20.0)
                value, _ = measured(one, Rules(metrics=(name,)).but(**rules))[name]
                cells.append("missing" if value is None else "the diagonal" if value == 20 else f"{value:g}")
            rows.append(f"| {words} | {what} | {' | '.join(cells)} |")
    return rows


def _answer(value: object) -> str:
    if isinstance(value, str):
        return f"raises {value}" if value.endswith("Error") else value
    return f"{value:g}"


def _cell(value: float) -> str:
    return "0" if value < 1e-12 else f"{value:.0e}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
