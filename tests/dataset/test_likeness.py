import numpy as np
import pytest

from delineate.dataset.imprint import Imprint, standardised, turns
from delineate.dataset.likeness import ALIKE, Twins, correlations, find_twins

CUBE, SQUARE = (16, 16, 16), (32, 32, 1)


def thumbnail(seed, shape=CUBE):
    rng = np.random.default_rng(seed)
    smooth = rng.normal(size=shape)
    for axis in range(3):
        smooth = smooth + np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis)
    return standardised(smooth)


def imprints(*thumbnails):
    return [Imprint(f"case {n}", str(n), t) for n, t in enumerate(thumbnails)]


@pytest.mark.parametrize("shape", [CUBE, SQUARE])
def test_different_scans_are_no_twins(shape):
    assert find_twins(imprints(*(thumbnail(n, shape) for n in range(20)))) == ()


@pytest.mark.parametrize("shape", [CUBE, SQUARE])
def test_every_turn_is_found_and_told_from_no_turn(shape):
    for turn in turns(flat=shape == SQUARE):
        copy = np.ascontiguousarray(turn.applied(thumbnail(1, shape)))
        found = find_twins(imprints(thumbnail(0, shape), thumbnail(1, shape), copy))
        assert found == (Twins(1, 2, "near-identical" if turn.is_identity else "turned"),)


def test_noise_scaling_and_gamma_are_found():
    plain = thumbnail(1)
    noisy = standardised(plain + np.random.default_rng(5).normal(0, 0.03 * plain.std(), CUBE))
    curved = standardised((plain - plain.min()) ** 3)
    found = find_twins(imprints(plain, noisy, thumbnail(2), curved, *(thumbnail(n) for n in range(3, 9))))
    assert {(t.a, t.b): t.how for t in found} == {
        (0, 1): "near-identical",
        (0, 3): "intensity",
        (1, 3): "intensity",
    }


def test_an_inverted_picture_is_a_twin():
    assert find_twins(imprints(thumbnail(1), -thumbnail(1))) == (Twins(0, 1, "near-identical"),)


def outlined(seed):
    """Thumbnails in an atlas: all share the outline of a stripped brain, and differ a little inside it."""
    inside = np.square(np.indices(CUBE) - 7.5).sum(axis=0) < 40
    return standardised(inside * (1000 + 20 * thumbnail(seed) / thumbnail(seed).std()))


def test_an_outline_that_all_share_makes_no_twins_and_hides_none():
    brains = [outlined(n) for n in range(20)]
    assert correlations(brains).min() > ALIKE
    assert find_twins(imprints(*brains)) == ()
    copy = np.ascontiguousarray(brains[4][::-1]) * 0.5
    assert find_twins(imprints(*brains, copy)) == (Twins(4, 20, "turned"),)


def test_an_inverted_copy_is_found_in_a_crowd():
    crowd = [thumbnail(n) for n in range(12)]
    assert find_twins(imprints(*crowd, -crowd[5])) == (Twins(5, 12, "near-identical"),)


def test_scans_of_one_digest_are_the_same_and_no_twins():
    same = [Imprint("a", "x", thumbnail(1)), Imprint("b", "x", thumbnail(1))]
    assert find_twins(same) == ()


def test_constant_scans_and_single_scans_have_no_twins():
    assert find_twins([Imprint("a", "x", None), Imprint("b", "y", None)]) == ()
    assert find_twins(imprints(thumbnail(1), thumbnail(1, SQUARE))) == ()


def test_large_sets_are_compared_in_blocks():
    many = [thumbnail(n, SQUARE) for n in range(1100)]
    many.append(np.ascontiguousarray(many[3][::-1]))
    assert find_twins(imprints(*many)) == (Twins(3, 1100, "turned"),)


def test_correlations_are_those_of_numpy():
    thumbnails = [thumbnail(n) for n in range(4)]
    expected = np.corrcoef([t.ravel() for t in thumbnails])
    assert correlations(thumbnails) == pytest.approx(expected, abs=1e-5)
