"""Surface measures by name: equal to the tools that they are named after, and what they say of nothing."""

import importlib.util
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from delineate.errors import DataError
from delineate.evaluation import MEASURES, Confusion, Rules, border_distances, evaluate_case
from delineate.evaluation.measures import Pair, measured
from delineate.evaluation.measures.surfaces import DIRECTED, SURFACES
from delineate.space import Geometry, LabelMap, LabelSchema

SCRIPT = Path(__file__).parents[3] / "docs" / "reference" / "definitions.py"
NAMES = tuple(measure.name for measure in (*SURFACES, *DIRECTED))
GRID = Geometry((9, 8, 7), np.diag([2.0, 2.0, 2.0, 1.0]))


@pytest.fixture(scope="module")
def definitions():
    spec = importlib.util.spec_from_file_location("definitions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored_calls():
    spec = importlib.util.spec_from_file_location("definitions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [(tool, call, name) for tool, calls in module.SAME.items() for call, name in calls.items()]


def nearly(tool, name):
    """How equal is equal: 1e-6, unless the tool rounds to single precision on its way."""
    if tool == "MONAI" and name.startswith("hd95"):
        return 5e-5  # its interpolation of percentiles; see the test of MONAI's own arithmetic below
    return 5e-6 if tool == "MeshMetrics" else 1e-6


@pytest.mark.parametrize(("tool", "call", "name"), stored_calls())
def test_a_name_is_the_number_of_the_tool_on_golden_masks_and_random_blobs(definitions, tool, call, name):
    values = definitions.stored()["tools"][tool]["values"][call]
    assert len(values) >= (107 if tool not in ("BraTS 2023", "pymia") else 56)
    assert definitions.difference(tool, call, name) < nearly(tool, name)


def test_the_page_of_definitions_is_what_the_script_writes(definitions):
    assert definitions.PAGE.read_text() == definitions.page(), (
        "write it anew:  python docs/reference/definitions.py"
    )


def test_the_page_names_every_surface_measure_and_no_other(definitions):
    assert definitions.NAMES == NAMES
    assert set(NAMES) <= set(MEASURES)
    assert {name for calls in definitions.SAME.values() for name in calls.values()} <= set(NAMES)


def test_in_single_precision_percentiles_are_those_of_monai(definitions):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("monai.metrics")
    for case in ("C2", "D", *(f"volume_{n}" for n in range(10))):
        reference, prediction, grid, _ = definitions.masks_of(case)
        apart = border_distances(reference, prediction, grid)
        mine = max(
            float(torch.quantile(torch.from_numpy(one.distances.astype(np.float32)), 0.95))
            for one in (apart.from_reference, apart.from_prediction)
        )
        masks = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (prediction, reference))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = metrics.compute_hausdorff_distance(*masks, percentile=95, spacing=grid.spacing)
        assert mine == pytest.approx(float(theirs), rel=3e-7)


# --- of nothing


def box(start, stop):
    mask = np.zeros(GRID.shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


SOME, NEAR, NONE = box((2, 2, 2), (5, 5, 5)), box((3, 2, 2), (6, 5, 5)), box((0, 0, 0), (0, 0, 0))


def pair(reference, prediction, known=None):
    known = np.ones(GRID.shape, bool) if known is None else known
    counts = Confusion.of(reference, prediction, known)
    return Pair(reference, prediction, known, GRID, counts, diagonal_mm=28.0)


def values(reference, prediction, **rules):
    return {
        name: found
        for name, (found, _) in measured(pair(reference, prediction), Rules(metrics=NAMES, **rules)).items()
        if name in NAMES
    }


def test_from_a_surface_that_is_not_there_nothing_is_measured():
    found = values(SOME, NONE, missed="diagonal")
    for name, value in found.items():
        if name.endswith("from_prediction"):
            assert value is None
        else:
            assert value == (0 if name.startswith("nsd") else 28)
    turned = values(NONE, SOME, missed="diagonal")
    assert turned["hd95_from_reference"] is turned["nsd_from_reference"] is None
    assert turned["nsd_from_prediction"] == 0


def test_of_two_empty_masks_nothing_is_said_unless_that_is_wanted():
    assert set(values(NONE, NONE).values()) == {None}
    found = values(NONE, NONE, empty="one")
    assert {name: value for name, value in found.items() if value not in (0, 1)} == {}
    assert all((value == 1) == name.startswith("nsd") for name, value in found.items())


def test_every_measure_of_a_mask_and_itself_is_perfect():
    for name, value in values(SOME, SOME).items():
        assert value == (1 if name.startswith("nsd") else 0)


def test_a_structure_that_nobody_annotated_around_has_no_surface():
    for name, (value, note) in measured(pair(SOME, SOME, SOME), Rules(metrics=NAMES)).items():
        if name in NAMES:
            assert (value, note) == (None, "no surface in the annotated part")


# --- tolerances


def test_several_tolerances_are_measured_in_one_run_and_named():
    rules = Rules(metrics=("nsd", "nsd@0.5", "nsd@2.0", "nsd_mesh@2", "nsd_area_from_reference@4"))
    assert rules.metrics == ("nsd", "nsd@0.5", "nsd@2", "nsd_mesh@2", "nsd_area_from_reference@4")
    found = measured(pair(SOME, NEAR), rules)
    shares = [found[name][0] for name in ("nsd@0.5", "nsd", "nsd@2")]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] == 1
    measure = MEASURES["nsd@2"]
    assert measure.title == "NSD 2 mm"
    assert rules.definition(measure) == "share of border voxels within tolerance, 2 mm"


@pytest.mark.parametrize(
    "name", ["nsd@", "nsd@two", "nsd@0", "nsd@-1", "nsd@inf", "nsd@nan", "hd95@2", "@2", "nsx@2"]
)
def test_what_has_no_tolerance_or_no_number_is_unknown(name):
    assert name not in MEASURES
    with pytest.raises(ValidationError, match="unknown metrics"):
        Rules(metrics=(name,))


def test_each_structure_has_its_own_tolerance():
    schema = LabelSchema.of("liver", "aorta")
    reference = LabelMap(SOME.astype(np.uint8), GRID, schema)
    maps = [SOME.astype(np.uint8), NEAR.astype(np.uint8)]
    for labels in maps:
        labels[:, :, 5:] = 0
    both = [
        np.where(box((0, 0, 5), (9, 8, 7)) & np.roll(labels, 3, axis=2).astype(bool), 2, labels)
        for labels in maps
    ]
    reference, prediction = (LabelMap(labels, GRID, schema) for labels in both)
    rules = Rules(metrics=("nsd",), tolerance_mm={"liver": 3.0, "aorta": 1.0})
    rows = {
        row.structure: row
        for row in evaluate_case(reference, prediction, "a", rules=rules)
        if row.metric == "nsd"
    }
    assert rows["liver"].value == 1
    assert rows["aorta"].value < 1
    assert rows["liver"].definition.endswith("tolerance, 3 mm")
    assert rules.definition(MEASURES["nsd"]).endswith("tolerance, 3 mm (liver), 1 mm (aorta)")
    with pytest.raises(DataError, match=r"no tolerance for 'aorta': tolerance_mm names liver\. Name every"):
        evaluate_case(reference, prediction, "a", rules=rules.but(tolerance_mm={"liver": 3.0}))
    with pytest.raises(
        DataError, match=r"tolerances are by structure: liver, aorta\. Say of which .* rules\.of"
    ):
        measured(pair(SOME, NEAR), rules)


@pytest.mark.parametrize("tolerance", [0, -1, math.inf, {"liver": 0.0}])
def test_a_tolerance_is_a_length(tolerance):
    with pytest.raises(ValidationError, match=r"greater than 0|finite number"):
        Rules(tolerance_mm=tolerance)
