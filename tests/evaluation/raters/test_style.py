"""Styles are found where there are some, and only there; a model's teacher is recognised."""

import numpy as np
import pytest

from delineate.evaluation.raters import agreement_of, read_together

RATERS = ("ann", "bob", "cat", "dan")


@pytest.fixture(scope="module")
def styles(hand, cohort):
    """The agreement of raters with given hands, and of a model."""

    def of(*, net=None, cases=20, seed=0, **hands):
        drawn = {name: hands.get(name, hand()) for name in RATERS} | ({"net": net} if net else {})
        found = cohort(drawn, cases=cases, seed=seed)
        readings = read_together(list(found), found.__getitem__, RATERS, model="net" if net else None)
        return agreement_of(readings)

    return of


def findings(agreement):
    return {(trait.reader, trait.kind): trait.finding for trait in agreement.traits if trait.finding}


def test_who_draws_larger_is_found_and_how_much(styles, hand):
    agreement = styles(cat=hand(offset=1.0))
    found = findings(agreement)
    assert found[("cat", "size")] == "larger"
    assert found[("cat", "border")] == "further out"
    border = next(t for t in agreement.traits if (t.reader, t.kind) == ("cat", "border"))
    assert border.difference.low < 0.85 < border.difference.high + 0.2
    assert "cat draws larger (" in agreement.to_markdown()


def test_who_draws_smaller_is_found(styles, hand):
    found = findings(styles(bob=hand(offset=-1.0)))
    assert found[("bob", "size")] == "smaller"
    assert found[("bob", "border")] == "further in"


def test_who_draws_rougher_or_smoother_is_found(styles, hand):
    found = findings(styles(dan=hand(wave=1.0, shake=0.9), ann=hand(shake=0.1)))
    assert found[("dan", "roughness")] == "rougher"
    assert found[("ann", "roughness")] == "smoother"
    assert "less surface for its volume" in styles(ann=hand(shake=0.1)).to_markdown()


def test_where_all_draw_alike_a_style_is_rarely_found(styles):
    """Twelve questions each time, corrected together: five cohorts in a hundred may show one."""
    assert sum(bool(findings(styles(seed=seed, cases=10))) for seed in range(20)) <= 3


def test_a_model_that_learnt_from_one_rater_is_recognised(styles, hand):
    agreement = styles(cat=hand(offset=1.0), net=hand(offset=1.0, shake=0.3))
    assert [f.rater for f in agreement.followings if f.follows] == ["cat"]
    assert findings(agreement)[("net", "size")] == "larger"
    assert "net follows the style of cat: its Dice gains" in agreement.to_markdown()


def test_a_model_in_the_middle_follows_nobody_although_it_is_near_to_all(styles, hand):
    agreement = styles(net=hand(shake=0.05))
    assert not [f.rater for f in agreement.followings if f.follows]
    assert all(f.nearer.mean <= 0.01 for f in agreement.followings)


def test_a_model_that_is_a_copy_of_a_rater_follows_them(cohort, hand):
    found = cohort({name: hand() for name in RATERS}, cases=6)
    for maps in found.values():
        maps["net"] = maps["bob"]
    agreement = agreement_of(read_together(list(found), found.__getitem__, RATERS, model="net"))
    assert [f.rater for f in agreement.followings if f.follows] == ["bob"]


def test_one_patient_shows_no_style(styles, hand):
    agreement = styles(cat=hand(offset=2.0), net=hand(), cases=1)
    assert not findings(agreement)
    assert all(trait.chance is None for trait in agreement.traits)
    assert not any(f.follows for f in agreement.followings)
    assert "1 patient: intervals are wide" in agreement.to_markdown()


def test_a_style_that_differs_from_case_to_case_is_none(cohort, hand):
    one = cohort({n: hand(offset=1.0 if n == "cat" else 0.0) for n in RATERS}, cases=8, seed=1)
    other = cohort({n: hand(offset=-1.0 if n == "cat" else 0.0) for n in RATERS}, cases=8, seed=2)
    found = {f"{name}{n}": maps for n, half in enumerate((one, other)) for name, maps in half.items()}
    agreement = agreement_of(read_together(list(found), found.__getitem__, RATERS))
    assert ("cat", "size") not in findings(agreement)
    assert np.isclose(agreement.cell("lesion", "offset_mm", "cat", "ann").mean, 0, atol=0.4)
