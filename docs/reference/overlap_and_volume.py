"""Writes overlap-and-volume.md: measures of overlap, form and volume beside the numbers of other tools.

python docs/reference/overlap_and_volume.py

What the tools said is stored in tests/evaluation/golden; the scripts beside it ask them again. What is said
here is computed when the page is written.
"""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from delineate.evaluation import BlandAltman, CenterlineOverlap, Confusion, boundary_counts, intraclass
from delineate.space import Geometry

PAGE = Path(__file__).with_name("overlap-and-volume.md")
GOLDEN = Path(__file__).parents[2] / "tests" / "evaluation" / "golden"
EXACT = 1e-9

HEAD = """# Overlap, form and volume

The largest difference between a number here and the same number of another tool, over every case that both
were asked for. Written by `docs/reference/overlap_and_volume.py` from what the tools gave, stored in
`tests/evaluation/golden`, and from what is computed here; 0 is below 1e-9.
[What the measures mean](../explanations/beyond-dice.md) is another page.

| measure | tool | cases | largest difference |
|---|---|---|---|"""

FOOT = """
clDice of tubes of odd width differs by at most a voxel at the ends of a line. Of tubes of even width
scikit-image leaves nothing in 3D, so that its value is 0 / 0: {none} of {tubes} tubes have none there, and
all have one here. statsmodels divides the variance of differences by n, where Bland and Altman divide by
n - 1; its limits are compared after that.
"""

Line = tuple[str, str, list[float]]  # measure, tool, differences


def page() -> str:
    """The whole page."""
    rows = [
        f"| {measure} | {tool} | {len(apart)} | {_shown(max(apart))} |"
        for measure, tool, apart in (*_overlap(), *_shapes(), *_volumes())
    ]
    tubes = _stored("shapes")["tubes"].values()
    none = sum(value is None for value in tubes)
    return "\n".join([HEAD, *rows, FOOT.format(none=none, tubes=len(tubes))])


def _stored(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def _overlap() -> Iterator[Line]:
    cases = _stored("overlap")["masks"]
    made = runpy.run_path(str(GOLDEN / "overlap.py"))["masks_of"]
    counts = [Confusion.of(*made(case["seed"])) for case in cases]
    for name, theirs in (("Dice", "f1"), ("IoU", "jaccard"), *((n, n.lower()) for n in OTHERS)):
        method = getattr(Confusion, name.lower())
        apart = [abs(method(count) - case[theirs]) for count, case in zip(counts, cases, strict=True)]
        yield name, "scikit-learn 1.9.1", apart


OTHERS = ("Precision", "Recall", "Specificity", "Accuracy")


def _shapes() -> Iterator[Line]:
    made, stored = runpy.run_path(str(GOLDEN / "shapes.py")), _stored("shapes")
    for kind, words in (("curves", "clDice, lines of one voxel"), ("tubes", "clDice, tubes of odd width")):
        values = {int(key): value for key, value in stored[kind].items() if value is not None}
        apart = [
            abs((CenterlineOverlap.of(*made[kind](key)).cldice() or 0) - value)
            for key, value in values.items()
        ]
        yield words, "its authors (clDice 07fe900, scikit-image 0.22)", apart
    grid = Geometry((24, 20, 1), np.eye(4))
    apart = []
    for seed, value in stored["boundary_iou"].items():
        reference, prediction = (mask[:, :, None] for mask in made["blobs"](int(seed)))
        counts = boundary_counts(reference, prediction, grid, width_mm=1.45)  # one erosion by a square
        apart.append(abs((counts.iou() or 0) - value))
    yield "Boundary IoU, one erosion deep", "its authors (boundary-iou-api 37d2558)", apart


def _volumes() -> Iterator[Line]:
    stored = _stored("concordance")
    pingouin, statsmodels = [], []
    for case in stored["limits"]:
        found = BlandAltman.of(np.array(case["prediction"]) - case["reference"])
        assert found and found.sd and found.lower and found.upper
        ours = np.array([found.lower, found.bias, found.upper])
        pingouin.append(float(np.abs(ours - case["pingouin"]).max()))
        reach = 1.96 * found.sd * np.sqrt((found.n - 1) / found.n)
        ours = found.bias + np.array([-reach, 0, reach])
        statsmodels.append(float(np.abs(ours - case["statsmodels"]).max()))
    yield "Bias and 95 % limits", "pingouin 0.7.0", pingouin
    yield "Bias and 95 % limits", "statsmodels 0.15.0", statsmodels
    values, ends = [], []
    for case in stored["icc"]:
        icc = intraclass(np.array(case["table"], float))
        assert icc and icc.interval
        values.append(abs(icc.value - case["value"]))
        ends.append(float(np.abs(np.array(icc.interval) - case["interval"]).max()))
    yield "ICC(2,1)", "pingouin 0.7.0", values
    yield "ICC(2,1), its interval", "pingouin 0.7.0", ends


def _shown(apart: float) -> str:
    return "0" if apart < EXACT else f"{apart:.1g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
