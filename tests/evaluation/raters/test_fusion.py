"""A consensus is what its rule says, and SimpleITK's where SimpleITK has the same rule."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from delineate.errors import DataError, GeometryError
from delineate.evaluation.raters import fusion
from delineate.evaluation.raters.fusion import METHODS, FusionRules, check_maps, fuse
from delineate.io import read_label_values
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region

ONE = LabelSchema.of("lesion")
THREE = LabelSchema(labels=tuple(Label(value=v, name=n) for v, n in ((1, "a"), (2, "b"), (4, "c"))))
NESTED = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=2, name="core")),
    regions=(Region(name="whole", values=(1, 2), paints=1), Region(name="inner", values=(2,), paints=2)),
)
SHAPE = (4, 4, 3)
WHOLE = FusionRules(margin_mm=None)


def map_of(array, schema=ONE, spacing=(1.0, 1.0, 1.0)):
    return LabelMap(np.asarray(array, np.uint8), Geometry(array.shape, np.diag([*spacing, 1.0])), schema)


def raters_of(arrays, schema=ONE):
    return {f"rater {n}": map_of(array, schema) for n, array in enumerate(arrays)}


def labels_of(maps, rules=None, **more):
    return fuse(maps, rules, **more).labels(next(iter(maps.values()))).array


def probability_of(maps, rules=None):
    return fuse(maps, rules).probabilities(next(iter(maps.values()))).array


def several(values=(0, 0, 1), raters=5):
    one = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from(values))
    return st.lists(one, min_size=1, max_size=raters)


def noisy(truth, qualities, rng):
    """What raters with known (sensitivity, specificity) say of a truth, voxel by voxel."""
    return [
        np.where(truth > 0, rng.random(truth.shape) < p, rng.random(truth.shape) >= q).astype(np.uint8)
        for p, q in qualities
    ]


def ball(size=40, radius=12):
    i, j, k = np.indices((size, size, size)) - size / 2
    return (i**2 + j**2 + k**2 < radius**2).astype(np.uint8)


# --- votes


@given(several(values=(0, 1, 2, 4)))
def test_the_majority_is_the_label_with_most_votes_and_the_lowest_of_equals(arrays):
    found = labels_of(raters_of(arrays, THREE), FusionRules(method="majority"))
    counts = np.stack([np.sum([array == value for array in arrays], axis=0) for value in (0, 1, 2, 4)])
    np.testing.assert_array_equal(found, np.array([0, 1, 2, 4])[counts.argmax(axis=0)])


@pytest.mark.parametrize(
    ("ties", "expected"),
    [("lowest", [0, 1, 1]), ("highest", [1, 2, 1]), ("background", [0, 0, 1]), ("ignore", [9, 9, 1])],
)
def test_ties_go_where_the_rule_says(ties, expected):
    schema = LabelSchema(labels=(*ONE.labels, Label(value=2, name="other")), ignore=9)
    said = np.array([[[0], [1], [1]], [[1], [2], [1]]])[:, None]  # background or 1; 1 or 2; both 1
    maps = raters_of(said, schema)
    assert labels_of(maps, FusionRules(method="majority", ties=ties)).ravel().tolist() == expected


def test_ties_cannot_be_left_open_without_an_ignore_label():
    with pytest.raises(DataError, match=r"no ignore label.*lowest, highest, background"):
        fuse(raters_of([np.ones(SHAPE)]), FusionRules(ties="ignore"))


@given(several(values=(0, 1, 2, 4), raters=3))
def test_a_rater_who_is_there_twice_counts_as_one_with_twice_the_weight(arrays):
    maps = raters_of(arrays, THREE)
    doubled = {**maps, "again": maps["rater 0"]}
    weights = dict.fromkeys(maps, 1.0) | {"rater 0": 2.0}
    rules = FusionRules(method="majority")
    np.testing.assert_array_equal(labels_of(maps, rules, weights=weights), labels_of(doubled, rules))


def test_a_weight_of_nothing_is_no_vote():
    empty, full = np.zeros(SHAPE), np.ones(SHAPE)
    maps = {"worker": map_of(full), "another": map_of(full), "reader": map_of(empty)}
    weights = {"worker": 0.0, "another": 1.0, "reader": 1.5}
    assert not labels_of(maps, FusionRules(method="majority"), weights=weights).any()
    assert fuse(maps, FusionRules(method="soft"), weights=weights).shares.max() == 0.4


@pytest.mark.parametrize(
    ("method", "weights", "words"),
    [
        ("staple", {"a": 1.0}, "staple finds the weights of raters by itself"),
        ("simple", {"a": 1.0}, "simple finds the weights of raters by itself"),
        ("majority", {"b": 1.0}, "no weight for a; there are weights for b"),
        ("majority", {"a": -1.0}, "not below 0"),
        ("soft", {"a": 0.0}, "not below 0, and one at least is above"),
        ("soft", {"a": float("nan")}, "not below 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(method, weights, words):
    with pytest.raises(DataError, match=words):
        fuse({"a": map_of(np.ones(SHAPE))}, FusionRules(method=method), weights=weights)


@given(several(values=(0, 1, 2, 4)))
def test_soft_labels_are_the_shares_of_the_votes(arrays):
    found = probability_of(raters_of(arrays, THREE), FusionRules(method="soft"))
    expected = [np.mean([array == value for array in arrays], axis=0) for value in (1, 2, 4)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_soft_probabilities_are_named_after_the_structures():
    maps = raters_of([np.ones(SHAPE)], THREE)
    assert fuse(maps, FusionRules(method="soft")).probabilities(maps["rater 0"]).channels == ("a", "b", "c")


# --- laws of all methods


@pytest.mark.parametrize("method", METHODS)
@given(arrays=several(values=(0, 0, 1, 2, 4)))
def test_the_order_of_raters_does_not_matter(method, arrays):
    rules = FusionRules(method=method)
    maps = raters_of(arrays, THREE)
    one, other = fuse(maps, rules), fuse(dict(reversed(maps.items())), rules)
    like = maps["rater 0"]
    if one.converged and method != "staple":  # of equal solutions STAPLE takes the one that rounding favours
        np.testing.assert_array_equal(one.labels(like).array, other.labels(like).array)
    np.testing.assert_allclose(
        one.probabilities(like).array,
        other.probabilities(like).array,
        atol=2e-4 if method == "staple" else 1e-6,
    )


@pytest.mark.parametrize("method", METHODS)
@given(array=hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 4])), count=st.integers(1, 4))
def test_raters_who_agree_are_the_consensus(method, array, count):
    maps = raters_of([array] * count, THREE)
    consensus = fuse(maps, FusionRules(method=method))
    np.testing.assert_array_equal(consensus.labels(maps["rater 0"]).array, array)
    assert all(q.dice in (1.0, None) and q.weight > 0 for q in consensus.qualities)


@pytest.mark.parametrize("method", METHODS)
def test_where_nobody_found_anything_nothing_is_there_and_nobody_was_wrong(method):
    maps = raters_of([np.zeros(SHAPE)] * 3)
    consensus = fuse(maps, FusionRules(method=method))
    assert not consensus.labels(maps["rater 0"]).array.any()
    assert not consensus.probabilities(maps["rater 0"]).array.any()
    for quality in consensus.qualities:
        assert (quality.sensitivity, quality.specificity, quality.dice) == (None, 1.0, None)


@pytest.mark.parametrize("method", METHODS)
def test_where_everything_is_labelled_there_is_no_specificity(method):
    maps = raters_of([np.ones(SHAPE)] * 3)
    consensus = fuse(maps, FusionRules(method=method))
    assert consensus.labels(maps["rater 0"]).array.all()
    assert [(q.sensitivity, q.specificity) for q in consensus.qualities] == [(1.0, None)] * 3


@pytest.mark.parametrize("method", METHODS)
def test_one_voxel_in_a_picture_is_enough(method):
    picture = np.zeros((6, 5, 1))
    picture[0, 0, 0] = 1  # at the border
    maps = raters_of([picture] * 3)
    assert labels_of(maps, FusionRules(method=method)).sum() == 1


@pytest.mark.parametrize("method", METHODS)
def test_what_was_left_open_is_decided_by_the_others_and_stays_open_where_all_left_it(method):
    schema = LabelSchema(labels=ONE.labels, ignore=9)
    first, second, third = np.zeros((3, 4, 4, 4))
    first[:2], second[:2], third[:2] = 1, 1, 1
    first[:, 0], second[:, 0], third[:, 0] = 9, 9, 9
    first[0, 1] = second[3, 2] = 9
    maps = raters_of([first, second, third], schema)
    found = labels_of(maps, FusionRules(method=method))
    assert (found[:, 0] == 9).all()
    assert (found[:2, 1:] == 1).all()
    assert not found[2:, 1:].any()


# --- STAPLE


def itk(array):
    return SimpleITK.GetImageFromArray(np.ascontiguousarray(array, dtype=np.uint8))


def itk_staple(arrays, confidence=1.0):
    peer = SimpleITK.STAPLEImageFilter()
    peer.SetForegroundValue(1)
    peer.SetConfidenceWeight(confidence)
    probability = SimpleITK.GetArrayFromImage(peer.Execute([itk(array) for array in arrays]))
    return probability, np.array(peer.GetSensitivity()), np.array(peer.GetSpecificity())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("confidence", [1.0, 0.4, 1.5])
def test_binary_staple_is_that_of_simpleitk(seed, confidence):
    rng = np.random.default_rng(seed)
    qualities = rng.uniform((0.6, 0.8), (1, 1), (rng.integers(2, 7), 2))
    arrays = noisy(ball(20, 6), qualities, rng)
    probability, sensitivity, specificity = itk_staple(arrays, confidence)
    maps = raters_of(arrays)
    consensus = fuse(maps, WHOLE.but(confidence=confidence))
    np.testing.assert_allclose(consensus.probabilities(maps["rater 0"]).array[0], probability, atol=1e-6)
    np.testing.assert_allclose([q.sensitivity for q in consensus.qualities], sensitivity, atol=1e-6)
    np.testing.assert_allclose([q.specificity for q in consensus.qualities], specificity, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_staple_of_several_labels_is_that_of_simpleitk(seed):
    """Labels equal in every voxel, the tables of confusion to 1e-6."""
    rng = np.random.default_rng(seed)
    truth = ball(18, 7) + ball(18, 4) + ball(18, 2)
    truth[truth == 3] = 4
    arrays = []
    for _ in range(rng.integers(3, 6)):
        wrong = rng.random(truth.shape) < rng.uniform(0.02, 0.2)
        arrays.append(np.where(wrong, rng.choice([0, 1, 2, 4], truth.shape), truth).astype(np.uint8))
    peer = SimpleITK.MultiLabelSTAPLEImageFilter()
    peer.SetLabelForUndecidedPixels(0)
    peer.SetTerminationUpdateThreshold(1e-7)  # by itself it stops at 1e-5, some voxels too early
    expected = SimpleITK.GetArrayFromImage(peer.Execute([itk(array) for array in arrays]))
    maps = raters_of(arrays, THREE)
    consensus = fuse(maps, WHOLE)
    np.testing.assert_array_equal(consensus.labels(maps["rater 0"]).array, expected)
    for number, rater in enumerate(maps):
        table = np.array(peer.GetConfusionMatrix(number)).reshape(6, 5)
        found = {q.structure: q.sensitivity for q in consensus.qualities if q.rater == rater}
        np.testing.assert_allclose(
            [found[name] for name in "abc"], [table[v, v] for v in (1, 2, 4)], atol=1e-6
        )


def test_staple_finds_how_good_simulated_raters_are():
    qualities = [(0.95, 0.99), (0.9, 0.97), (0.8, 0.98), (0.7, 0.95), (0.6, 0.99)]
    truth = ball()
    arrays = noisy(truth, qualities, np.random.default_rng(1))
    consensus = fuse(raters_of(arrays))
    for quality, (sensitivity, specificity) in zip(consensus.qualities, qualities, strict=True):
        assert quality.sensitivity == pytest.approx(sensitivity, abs=0.02)
        assert quality.specificity == pytest.approx(specificity, abs=0.02)
    wrong = consensus.labels(map_of(truth)).array != truth
    assert wrong.mean() < 0.02
    assert wrong.sum() < 0.5 * np.sum(labels_of(raters_of(arrays), FusionRules(method="majority")) != truth)


def test_staple_finds_how_good_simulated_raters_of_several_labels_are():
    rng = np.random.default_rng(2)
    truth = ball(36, 14) + ball(36, 9)
    background = [0.985, 0.01, 0.005]
    arrays, tables = [], []
    for right in (0.95, 0.9, 0.85, 0.8, 0.75):  # rows: the truth; what is wrong, is most often background
        wrong = (1 - right) / 3
        tables.append(np.array([background, [2 * wrong, right, wrong], [2 * wrong, wrong, right]]))
        table = tables[-1]
        drawn = (rng.random((*truth.shape, 1)) > np.cumsum(table, axis=1)[truth]).sum(axis=-1)
        arrays.append(np.minimum(drawn, 2).astype(np.uint8))
    consensus = fuse(raters_of(arrays, LabelSchema.of("rim", "core")), WHOLE)
    for rater, table in enumerate(tables):
        found = [q.sensitivity for q in consensus.qualities if q.rater == f"rater {rater}"]
        np.testing.assert_allclose(found, [table[1, 1], table[2, 2]], atol=0.02)


def test_staple_depends_on_the_field_of_view_which_is_therefore_told():
    """A lesion that one of three drew: within a tight field it is doubted, in a whole scan it is believed."""
    truth = np.zeros((60, 60, 60), np.uint8)
    truth[20:30, 20:30, 20:30] = 1
    generous = np.zeros_like(truth)
    generous[17:33, 17:33, 17:33] = 1
    maps = raters_of([truth, truth[::-1, ::-1, ::-1].copy() * 0 + np.roll(truth, 2, 0), generous])
    tight = fuse(maps, FusionRules(margin_mm=0))
    whole = fuse(maps, WHOLE)
    assert tight.field < whole.field == truth.size
    assert tight.qualities[2].specificity < 0.8 < 0.98 < whole.qualities[2].specificity


def test_beyond_a_field_that_was_labelled_throughout_is_background():
    """Nothing is learnt of background there, and what nobody drew stays what it is."""
    box = np.zeros((6, 6, 6))
    box[2:4, 2:4, 2:4] = 1
    for schema in (ONE, THREE, NESTED):
        maps = raters_of([box, box], schema)
        consensus = fuse(maps, FusionRules(margin_mm=0))
        np.testing.assert_array_equal(consensus.labels(maps["rater 0"]).array, box)
        assert consensus.probabilities(maps["rater 0"]).array[:, 0, 0, 0].max() == 0
        assert consensus.qualities[0].specificity is None


def test_in_wider_fields_of_view_staple_draws_more():
    """Five hands that shake around one ball: nobody is better than the others, so a majority is right."""
    rng = np.random.default_rng(0)
    distance = np.linalg.norm(np.moveaxis(np.indices((50, 50, 50)), 0, -1) - 25, axis=-1) - 8
    arrays = []
    for _ in range(5):
        noise = ndimage.gaussian_filter(rng.normal(size=distance.shape), 3)
        arrays.append((distance + 0.7 * noise / noise.std() < 0).astype(np.uint8))
    maps = raters_of(arrays)
    majority = labels_of(maps, FusionRules(method="majority")).sum()
    drawn = [labels_of(maps, FusionRules(margin_mm=margin)).sum() / majority for margin in (0, 5, None)]
    assert drawn[0] == pytest.approx(1, abs=0.03)
    assert drawn[0] <= drawn[1] <= drawn[2]
    assert drawn[2] > 1.08


def test_a_prior_above_certainty_is_refused():
    with pytest.raises(DataError, match=r"more likely than certain: their mean share is 0.500.*at most 2"):
        fuse(raters_of([np.ones(SHAPE), np.zeros(SHAPE)]), WHOLE.but(confidence=3.0))


def test_rounds_that_do_not_suffice_are_told(monkeypatch):
    monkeypatch.setattr(fusion, "ROUNDS", 2)
    arrays = noisy(ball(12, 4), [(0.7, 0.9)] * 3, np.random.default_rng(0))
    assert not fuse(raters_of(arrays)).converged


# --- SIMPLE


def test_simple_leaves_out_who_is_far_from_the_others():
    truth = ball(30, 9)
    far = np.roll(truth, 9, axis=0)
    near = [np.roll(truth, shift, axis) for shift, axis in ((1, 0), (1, 1), (1, 2))]
    consensus = fuse(raters_of([truth, *near, far]), FusionRules(method="simple"))
    weights = [q.weight for q in consensus.qualities]
    assert weights[-1] == 0
    assert min(weights[:-1]) > 0.8
    assert consensus.rounds > 1
    assert consensus.converged


def test_simple_keeps_raters_who_are_only_a_little_apart():
    truth = ball(60, 20)
    maps = raters_of([truth, truth, np.roll(truth, 1, 0)])
    assert all(q.weight > 0.9 for q in fuse(maps, FusionRules(method="simple")).qualities)


def test_simple_that_finds_no_end_says_so(monkeypatch):
    monkeypatch.setattr(fusion, "SIMPLE_ROUNDS", 1)
    consensus = fuse(raters_of([ball(8, 3)] * 3), FusionRules(method="simple"))
    assert not consensus.converged


# --- nested regions


@pytest.mark.parametrize("method", METHODS)
def test_regions_are_fused_one_by_one(method):
    """One says core, one oedema, one background: the whole is there by two votes, its core is not."""
    said = np.zeros((3, 6, 6, 6))
    said[:, 1:5, 1:5, 1:5] = 1
    said[:, 2:4, 2:4, 2:4] = 2
    said[:, 1, 1, 1] = [2, 1, 0]
    found = labels_of(raters_of(said, NESTED), FusionRules(method=method))
    assert found[1, 1, 1] == 1
    assert (found[2:4, 2:4, 2:4] == 2).all()


@pytest.mark.parametrize(("ties", "expected"), [("lowest", 0), ("highest", 1), ("ignore", 9)])
def test_ties_of_regions_go_where_the_rule_says(ties, expected):
    schema = NESTED.but(ignore=9)
    said = np.zeros((2, 1, 1, 2))
    said[:, 0, 0, 0], said[:, 0, 0, 1] = [0, 1], 2
    found = labels_of(raters_of(said, schema), FusionRules(method="majority", ties=ties))
    assert found.ravel().tolist() == [expected, 2]


def test_a_region_has_the_qualities_of_its_own_binary_staple():
    rng = np.random.default_rng(3)
    truth = ball(16, 6) + ball(16, 3)
    arrays = [np.where(rng.random(truth.shape) < 0.1, rng.integers(0, 3, truth.shape), truth) for _ in "abc"]
    nested = fuse(raters_of(arrays, NESTED), WHOLE)
    for structure, least in (("whole", 1), ("inner", 2)):
        binary = [(array >= least).astype(np.uint8) for array in arrays]
        found = [q.sensitivity for q in nested.qualities if q.structure == structure]
        np.testing.assert_allclose(found, itk_staple(binary)[1], atol=1e-6)


# --- what is refused


def test_a_consensus_of_nobody_is_refused():
    with pytest.raises(DataError, match="at least one rater, got none"):
        fuse({})


def test_different_grids_are_refused_and_both_are_named():
    maps = {"ann": map_of(np.ones((4, 4, 4))), "bob": map_of(np.ones((4, 4, 5)))}
    with pytest.raises(GeometryError, match=r"(?s)case_7: ann and bob labelled different grids.*4 x 4 x 5"):
        check_maps(maps, case="case_7")


def test_different_labels_are_refused():
    maps = {"ann": map_of(np.ones(SHAPE)), "bob": map_of(np.ones(SHAPE), THREE)}
    with pytest.raises(DataError, match="ann and bob use different labels: lesion, and a, b, c"):
        fuse(maps)


# --- real data


@pytest.fixture(scope="module")
def two_networks(shared_data):
    """Two networks' tumours and what a published tool made of them, cut to where anything is."""
    folder = shared_data / "multirater_labelfusion"
    names = ("unet", "resunet", "baseline_majorityvoting", "baseline_itkvoting", "baseline_staple")
    return {name: read_label_values(folder / f"{name}.nii.gz").array.astype(np.uint8) for name in names}


@pytest.mark.parametrize(
    ("method", "golden"),
    [
        ("majority", "baseline_majorityvoting"),
        ("majority", "baseline_itkvoting"),
        ("staple", "baseline_staple"),
    ],
)
def test_the_fusions_of_labelfusion_come_out_voxel_by_voxel(two_networks, method, golden):
    maps = {name: map_of(two_networks[name], THREE) for name in ("unet", "resunet")}
    found = labels_of(maps, FusionRules(method=method, ties="background", margin_mm=None))
    np.testing.assert_array_equal(found, two_networks[golden])


@pytest.fixture(scope="module")
def five_algorithms(shared_data):
    folder = shared_data / "brain_tumour_mri" / "TCGA-DU-7294" / "TCGA-DU-7294_brainles"
    files = sorted((folder / "segmentation").glob("*.nii.gz")) + sorted((folder / "fusion").glob("*.nii.gz"))
    return {
        file.name.split(".")[0].split("-")[0]: read_label_values(file).array.astype(np.uint8)
        for file in files
    }


def test_five_algorithms_fuse_as_simpleitk_fuses_them(five_algorithms):
    raters = {
        name: a[90:150, 60:150, 60:130]
        for name, a in five_algorithms.items()
        if name not in ("mav", "simple")
    }
    peer = SimpleITK.MultiLabelSTAPLEImageFilter()
    peer.SetLabelForUndecidedPixels(0)
    expected = SimpleITK.GetArrayFromImage(peer.Execute([itk(array) for array in raters.values()]))
    maps = {name: map_of(array, THREE) for name, array in raters.items()}
    np.testing.assert_array_equal(labels_of(maps, WHOLE), expected)


@pytest.mark.parametrize(
    ("method", "golden", "least"), [("majority", "mav", 0.99), ("simple", "simple", 0.97)]
)
def test_five_algorithms_fuse_nearly_as_brats_toolkit_fused_them(five_algorithms, method, golden, least):
    """That tool votes label by label, takes half of the votes for enough, and paints; SIMPLE has variants."""
    maps = {n: map_of(a, THREE) for n, a in five_algorithms.items() if n not in ("mav", "simple")}
    found = labels_of(maps, FusionRules(method=method)) > 0
    there = five_algorithms[golden] > 0
    assert 2 * (found & there).sum() / (found.sum() + there.sum()) > least
