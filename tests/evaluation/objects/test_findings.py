"""Findings: when a lesion counts as found, by each of the four answers; LiTS' own one by its description."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.evaluation import Overlaps
from delineate.evaluation.objects.findings import Detected, covered, merged, paired

ids = hnp.arrays(np.int32, (1, 24, 1), elements=st.sampled_from([0, 1, 2, 3, 4]))


def table(voxels):
    """Overlaps of (reference id, prediction id) -> voxels."""
    reference, prediction = np.repeat(np.array(list(voxels)), list(voxels.values()), axis=0).T
    return Overlaps.of(reference, prediction)


def naive_merged(reference, prediction, overlap):
    """LiTS in words: lesions join those that share their main component, components their main group."""
    lesions = [n for n in np.unique(reference) if n]
    findings = [n for n in np.unique(prediction) if n]
    both = {(r, p): ((reference == r) & (prediction == p)).sum() for r in lesions for p in findings}
    groups: dict[int, list[int]] = {}
    for r in lesions:
        shares = {p: both[r, p] for p in findings if both[r, p]}
        if shares:
            groups.setdefault(max(shares, key=lambda p: (shares[p], -p)), []).append(r)
    members: dict[int, list[int]] = {}
    for p in findings:
        shares = {g: sum(both[r, p] for r in rs) for g, rs in groups.items()}
        shares = {g: share for g, share in shares.items() if share}
        if shares:
            members.setdefault(max(shares, key=lambda g: (shares[g], -g)), []).append(p)
    found, right = set(), set()
    for g, rs in groups.items():
        ps = members.get(g, [])
        a, b = np.isin(reference, rs), np.isin(prediction, ps)
        if ps and (a & b).sum() > overlap * (a | b).sum():
            found |= set(rs)
            right |= set(ps)
    return [r in found for r in lesions], [p in right for p in findings]


@given(ids, ids, st.sampled_from([0.1, 0.3, 0.5]))
def test_merged_is_what_lits_describes(reference, prediction, overlap):
    is_found, is_right = merged(Overlaps.of(reference, prediction), overlap)
    expected = naive_merged(reference, prediction, overlap)
    assert (is_found.tolist(), is_right.tolist()) == expected


@given(ids, ids, st.sampled_from([0.0, 0.2, 0.5, 0.8]))
def test_covered_is_the_share_of_voxels(reference, prediction, overlap):
    is_found, is_right = covered(Overlaps.of(reference, prediction), overlap)
    for ours, theirs, is_so in ((reference, prediction, is_found), (prediction, reference, is_right)):
        shares = [(theirs[ours == n] > 0).mean() for n in np.unique(ours) if n]
        assert is_so.tolist() == [bool(share > overlap) for share in shares]


@given(ids, ids)
def test_one_for_one_finds_as_many_as_are_right(reference, prediction):
    for overlap in (0.1, 0.5):
        is_found, is_right = paired(Overlaps.of(reference, prediction), overlap)
        assert is_found.sum() == is_right.sum()


def test_one_component_over_two_lesions_is_one_hit_or_two_or_none():
    """Two lesions of 40 voxels under one component of 100."""
    found = table({(1, 9): 40, (2, 9): 40, (0, 9): 20})
    assert [int(found_ids.sum()) for found_ids, _ in (paired(found, 0.3), paired(found, 0.5))] == [1, 0]
    assert merged(found, 0.5)[0].tolist() == [True, True]
    assert covered(found, 0.5)[0].tolist() == [True, True]


def test_two_components_over_one_lesion_are_one_right_or_two():
    found = table({(1, 8): 60, (1, 9): 30, (1, 0): 10})
    assert paired(found, 0.5)[1].tolist() == [True, False]
    assert merged(found, 0.5)[1].tolist() == [True, True]
    assert covered(found, 0.5)[1].tolist() == [True, True]


def test_a_bridge_does_not_join_what_lies_mostly_elsewhere():
    """Component 8 has most of lesion 1; of lesion 2 it has a little, but 9 has most."""
    found = table({(1, 8): 50, (2, 8): 5, (2, 9): 45})
    is_found, is_right = merged(found, 0.5)
    assert is_found.tolist() == is_right.tolist() == [True, True]
    assert merged(found, 0.905)[0].tolist() == [True, False]  # 50 of 55 against 45 of 50


@pytest.mark.parametrize("reference", [0, 1])
@pytest.mark.parametrize("prediction", [0, 1])
@pytest.mark.parametrize("how", [covered, paired, merged])
def test_nothing_is_found_where_one_of_them_is_empty(how, reference, prediction):
    empty = not reference or not prediction
    found = Overlaps.of(np.full((1, 3, 1), reference), np.full((1, 3, 1), prediction))
    is_found, is_right = how(found, 0.5)
    assert len(is_found) == reference
    assert len(is_right) == prediction
    assert is_found.any() == is_right.any() == (not empty)


@pytest.mark.parametrize(
    ("counts", "policy", "recall", "precision", "f1"),
    [
        ((3, 1, 2, 2), "missing", 0.75, 0.5, 0.6),
        ((0, 4, 0, 2), "missing", 0, 0, 0),
        ((0, 4, 0, 0), "missing", 0, None, 0),
        ((0, 0, 0, 2), "missing", None, 0, 0),
        ((0, 0, 0, 2), "reference", None, None, None),
        ((0, 0, 0, 0), "missing", None, None, None),
        ((0, 0, 0, 0), "one", 1, 1, 1),
        ((2, 0, 5, 0), "one", 1, 1, 1),
    ],
)
def test_shares_of_lesions_and_of_components(counts, policy, recall, precision, f1):
    found = Detected(*counts)
    assert found.recall(policy) == recall
    assert found.precision(policy) == precision
    assert found.f1(policy) == (None if f1 is None else pytest.approx(f1))
