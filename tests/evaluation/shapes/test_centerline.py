import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from skimage.morphology import skeletonize

from delineate.errors import GeometryError
from delineate.evaluation.shapes.centerline import CenterlineOverlap
from delineate.evaluation.shapes.thinning import centerline

HERE = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((HERE / "shapes.json").read_text())
MADE = runpy.run_path(str(HERE / "shapes.py"))

SHAPE = (6, 5, 7)
masks = hnp.arrays(bool, SHAPE)
none = np.zeros(SHAPE, bool)
one = none.copy()
one[3, 2, 4] = True


def cldice(reference, prediction, empty="missing", known=None):
    return CenterlineOverlap.of(reference, prediction, known).cldice(empty)


def formula(reference, prediction, lines):
    """What the authors' own metric computes from masks and their lines."""
    precision, sensitivity = (
        sum((line & other).sum() for line in lines(mask)) / sum(line.sum() for line in lines(mask))
        for mask, other in ((prediction, reference), (reference, prediction))
    )
    both = precision + sensitivity
    return 2 * precision * sensitivity / both if both else 0.0


def our_lines(mask):
    return centerline(mask), np.flip(centerline(np.flip(mask)))


@given(masks, masks)
@settings(max_examples=20)
def test_cldice_is_the_formula_of_its_authors(reference, prediction):
    if reference.any() and prediction.any():
        assert cldice(reference, prediction) == pytest.approx(formula(reference, prediction, our_lines))


@given(masks, masks)
@settings(max_examples=25)
def test_mirroring_both_masks_changes_nothing(reference, prediction):
    there = CenterlineOverlap.of(reference, prediction)
    assert CenterlineOverlap.of(np.flip(reference), np.flip(prediction)) == there


@pytest.mark.parametrize("seed", GOLDEN["curves"])
def test_cldice_of_thin_lines_is_exactly_that_of_its_authors(seed):
    assert cldice(*MADE["curves"](int(seed))) == pytest.approx(GOLDEN["curves"][seed], abs=1e-12)


@pytest.mark.parametrize("width", GOLDEN["tubes"])
def test_cldice_of_tubes_is_that_of_its_authors_but_for_an_end_and_exists_where_theirs_does_not(width):
    ours, theirs = cldice(*MADE["tubes"](int(width))), GOLDEN["tubes"][width]
    if int(width) % 2:
        assert ours == pytest.approx(theirs, abs=0.005)
    else:
        assert theirs is None
        assert ours > 0.4


def test_in_a_vessel_two_voxels_wide_no_choice_of_a_line_decides():
    """A voxel beside it, half of the prediction is right, and so says the centre line."""
    reference = np.zeros((20, 20, 60), bool)
    reference[6:8, 6:8, 5:55] = True
    for axis in (0, 1):
        assert cldice(reference, np.roll(reference, 1, axis=axis)) == pytest.approx(0.5, abs=0.05)
    assert cldice(reference, np.roll(reference, 2, axis=0)) == 0


def test_lines_of_one_voxel_are_their_own_centre_and_equal_the_peer_exactly():
    monai = pytest.importorskip("monai.losses")
    import torch

    reference, prediction = np.zeros((2, 12, 12, 12), bool)
    reference[2:10, 5, 5], prediction[4:12, 5, 5] = True, True
    loss = monai.SoftclDiceLoss(iter_=1, smooth=1e-12, smooth_nr=0.0, smooth_dr=1e-12)
    pair = [torch.tensor(mask, dtype=torch.float64)[None, None] for mask in (reference, prediction)]
    assert cldice(reference, prediction) == pytest.approx(1 - float(loss(*pair)), abs=1e-6)
    assert cldice(reference, prediction) == 6 / 8


@pytest.mark.parametrize("width", [2, 4, 6])
def test_tubes_of_even_width_are_measured_although_the_peer_finds_no_line_in_them(width):
    reference = np.zeros((20, 20, 60), bool)
    reference[6 : 6 + width, 6 : 6 + width, 5:55] = True
    assert not skeletonize(reference).any()
    assert cldice(reference, reference) == 1
    half = reference.copy()
    half[:, :, 30:] = False
    found = CenterlineOverlap.of(reference, half)
    assert found.precision == 1
    assert found.sensitivity == pytest.approx(0.5, abs=0.06)
    assert found.cldice() == pytest.approx(2 / 3, abs=0.06)


def test_a_gap_that_dice_hardly_sees_is_seen():
    trunk = np.zeros((24, 24, 80), bool)
    trunk[4:16, 4:16, 2:40] = True
    twig = np.zeros_like(trunk)
    twig[9:11, 9:11, 40:78] = True
    reference = trunk | twig
    dice = 2 * trunk.sum() / (trunk.sum() + reference.sum())
    assert dice > 0.98
    found = CenterlineOverlap.of(reference, trunk)
    assert found.sensitivity < 0.6
    assert found.precision == 1


@pytest.mark.parametrize(
    ("reference", "prediction", "empty", "expected"),
    [
        (none, none, "missing", None),
        (none, none, "one", 1.0),
        (none, none, "reference", None),
        (none, one, "missing", 0.0),
        (none, one, "reference", None),
        (one, none, "missing", 0.0),
        (one, none, "one", 0.0),
        (one, one, "missing", 1.0),
        (one, np.roll(one, 1), "missing", 0.0),
    ],
)
def test_cldice_of_nothing_follows_the_policy(reference, prediction, empty, expected):
    assert cldice(reference, prediction, empty) == expected


def test_shares_of_lines_that_are_not_there_are_missing():
    assert CenterlineOverlap.of(none, one).sensitivity is None
    assert CenterlineOverlap.of(none, one).precision == 0
    assert CenterlineOverlap.of(one, none).precision is None


@given(masks, masks, masks)
@settings(max_examples=25)
def test_voxels_that_are_not_known_are_in_neither(reference, prediction, known):
    assert CenterlineOverlap.of(reference, prediction, known) == CenterlineOverlap.of(
        reference & known, prediction & known
    )


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(GeometryError, match=r"one shape, got \(6, 5, 7\) and \(5, 5, 7\)"):
        CenterlineOverlap.of(none, none[1:])
