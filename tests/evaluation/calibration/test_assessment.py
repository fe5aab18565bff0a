import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation.calibration import CalibrationReport, CalibrationRules, Reliability, calibrate
from delineate.evaluation.calibration import assessment as module
from delineate.evaluation.calibration.counting import TOP
from delineate.space import LabelMap, Volume


def cohort(worlds, heats, **fields):
    scans = {f"case_{n}": worlds.scan(n, heat=heat, **fields) for n, heat in enumerate(heats)}
    return tuple(scans), scans.__getitem__


# --- laws


def test_a_model_that_is_as_sure_as_it_is_right_has_hardly_any_error(worlds):
    report = calibrate(*cohort(worlds, [1.0] * 4, shape=(48, 48, 48)))
    for name in (TOP, "organ", "cyst"):
        for where in ("everywhere", "foreground", "boundary"):
            assert report.pooled(name, where).ece < 0.005
    assert report.temperature.value == pytest.approx(1, abs=0.03)


def test_regions_that_are_as_probable_as_they_say_have_hardly_any_error(worlds):
    scans = {str(n): worlds.nested(n, shape=(48, 48, 48)) for n in range(4)}
    report = calibrate(list(scans), scans.__getitem__)
    assert report.names == ("whole", "inner")
    for name in report.names:
        assert report.pooled(name, "everywhere").ece < 0.005


def test_choosing_voxels_by_what_they_are_makes_a_perfect_model_look_wrong(worlds):
    """Why regions follow from what the model says."""
    reference, probabilities = worlds.scan(0, shape=(48, 48, 48))
    p, truth = probabilities.array, reference.array
    either = (truth > 0) | (p.argmax(axis=0) > 0)  # a usual choice
    assert Reliability.of(p[1][either], truth[either] == 1).ece > 0.03
    honest = calibrate(["a"], lambda _: (reference, probabilities)).pooled("organ", "foreground")
    assert honest.ece < 0.008


@pytest.mark.parametrize("heat", [0.6, 2.0])
def test_the_temperature_takes_away_what_was_too_sure_or_too_shy(worlds, heat):
    report = calibrate(*cohort(worlds, [heat] * 3))
    assert report.temperature.value == pytest.approx(heat, rel=0.05)
    assert np.sign(report.pooled(TOP, "everywhere").excess) == np.sign(heat - 1)
    for where in ("everywhere", "foreground", "boundary"):
        before, after = (report.pooled(TOP, where, after=done) for done in (False, True))
        assert after.ece < before.ece / 3
        assert after.nll < before.nll
        assert after.frequency == before.frequency
    assert report.is_better


def test_one_pool_hides_what_cancels_out_between_patients(worlds):
    report = calibrate(*cohort(worlds, [0.5, 0.5, 2.5, 2.5]))
    of_cases = next(o for o in report.over_cases if (o.name, o.where) == (TOP, "everywhere"))
    assert of_cases.ece > 1.5 * report.pooled(TOP, "everywhere").ece
    assert of_cases.low < of_cases.ece < of_cases.high
    assert of_cases.excess_sd > 0.02


def test_the_spread_between_cases_is_in_every_bin(worlds):
    report = calibrate(*cohort(worlds, [0.5, 1.0, 2.5]))
    curve = next(c for c in report.curves if (c.name, c.where) == ("organ", "everywhere"))
    assert len(curve.bins) == report.rules.bins
    told = [each for each in curve.bins if each.cases == 3]
    assert told
    for each in told:
        assert each.low <= each.forecast <= each.high
        assert each.q1 <= each.q3
    assert sum(each.voxels for each in curve.bins) == report.pooled("organ", "everywhere").voxels


def test_the_same_cases_give_the_same_report_which_lives_as_json(worlds):
    cases, load = cohort(worlds, [1.5] * 2, shape=(12, 12, 12))
    report = calibrate(cases, load)
    assert report == calibrate(cases, load)
    assert CalibrationReport.from_json(report.to_json(), where="here") == report


def test_every_case_is_loaded_twice_and_one_at_a_time(worlds):
    cases, load = cohort(worlds, [1.0] * 3, shape=(8, 8, 8))
    asked, told = [], []
    calibrate(cases, lambda c: (asked.append(c), load(c))[1], progress=lambda *step: told.append(step))
    assert asked == [*cases, *cases]
    assert told[-1] == (6, 6, "")


def test_samples_get_smaller_where_there_are_many_cases(worlds):
    assert module._kept(10, worlds.SCHEMA) == module.KEPT
    assert module._kept(10_000, worlds.SCHEMA) < 1000
    assert module._kept(10**7, worlds.SCHEMA) == 100


def test_scans_of_a_patient_are_not_drawn_apart(worlds):
    cases, load = cohort(worlds, [1.0, 1.1, 2.0, 2.1], shape=(16, 16, 16))
    alone = calibrate(cases, load)
    together = calibrate(cases, load, groups=dict(zip(cases, "aabb", strict=True)))
    assert together.groups == dict(zip(cases, "aabb", strict=True))
    width = [r.temperature.high - r.temperature.low for r in (alone, together)]
    assert width[0] < width[1]


# --- words


def test_the_text_says_what_was_measured_and_whether_a_temperature_helps(worlds):
    report = calibrate(*cohort(worlds, [2.0] * 2, shape=(16, 16, 16)), rules=CalibrationRules(bins=20))
    text = report.to_markdown()
    assert (
        "| of | where | voxels | ECE | ECE of a case | ACE | MCE | adaptive | Brier | NLL | too sure by |"
        in text
    )
    assert "| top label | boundary |" in text
    assert "2 cases, 20 bins." in text
    assert " → " in text
    assert f"Temperature {report.temperature.value:.3f} [95 % interval " in text
    assert "do not use it" not in text


def test_a_temperature_that_does_not_help_is_not_recommended(worlds):
    report = calibrate(*cohort(worlds, [1.5], shape=(16, 16, 16)))
    worse = [score.but(ece=1.0) if score.name == TOP else score for score in report.after]
    doubted = report.but(after=(worse[0], report.after[1], worse[2], *report.after[3:]))
    assert (doubted.is_better, doubted.worse) == (False, ("everywhere", "boundary"))
    told = "It makes the ECE of the top label larger everywhere and at boundaries. Do not use it."
    assert told in doubted.to_markdown()
    partly = report.but(after=(*report.after[:2], worse[2], *report.after[3:]))
    assert partly.is_better
    assert "larger at boundaries." in partly.told
    assert "Do not use it" not in partly.told
    noted = report.but(temperature=report.temperature.but(note="hardly anything is wrong"))
    assert "Hardly anything is wrong." in noted.to_markdown()


def test_a_temperature_may_be_fitted_where_it_matters(worlds):
    """Too sure in the foreground, right elsewhere: one number cannot suit both."""

    def load(case):
        reference, cold = worlds.scan(int(case))
        hot = worlds.scan(int(case), heat=3.0)[1]
        inside = cold.array.argmax(axis=0) > 0
        return reference, Volume(np.where(inside, hot.array, cold.array), cold.geometry, cold.channels)

    found = {
        fit: calibrate(["0", "1"], load, rules=CalibrationRules(fit=fit))
        for fit in ("everywhere", "foreground")
    }
    assert found["foreground"].temperature.value == pytest.approx(3, rel=0.05)
    assert 1 < found["everywhere"].temperature.value < 2.8
    assert "fitted in the foreground on these 2 cases" in found["foreground"].told
    assert found["foreground"].pooled(TOP, "foreground", after=True).ece < 0.01
    regions = calibrate(["0"], worlds.nested_load, rules=CalibrationRules(fit="boundary"))
    assert regions.temperature.value == pytest.approx(1, abs=0.1)


def test_one_case_has_errors_but_no_interval(worlds):
    report = calibrate(*cohort(worlds, [1.5], shape=(8, 8, 8)))
    assert report.over_cases[0].low is None
    assert report.temperature.low is None
    assert "95 % interval " not in report.to_markdown().split("Temperature")[1]


def test_a_region_without_a_voxel_has_no_errors(worlds):
    geometry = worlds.grid((6, 6, 6))
    p = np.full((3, 6, 6, 6), 0.1, np.float32)
    p[0] = 0.8
    reference = LabelMap(np.zeros((6, 6, 6), np.uint8), geometry, worlds.SCHEMA)
    report = calibrate(["a"], lambda _: (reference, Volume(p, geometry, worlds.SCHEMA.outputs)))
    score = report.pooled(TOP, "foreground")
    assert (score.voxels, score.ece, score.excess) == (0, None, None)
    assert report.over_cases[1].cases == 0
    assert "| top label | foreground | 0 | - | - |" in report.to_markdown()


# --- refused


def test_no_cases_and_the_same_case_twice_are_refused(worlds):
    cases, load = cohort(worlds, [1.0], shape=(6, 6, 6))
    with pytest.raises(DataError, match="expected cases with different names, got 0 of 0 names"):
        calibrate([], load)
    with pytest.raises(DataError, match="got 2 of 1 names"):
        calibrate([*cases, *cases], load)


def test_cases_of_different_schemas_are_refused(worlds):
    scans = {"a": worlds.scan(0, shape=(6, 6, 6)), "b": worlds.nested(0, shape=(6, 6, 6))}
    with pytest.raises(
        DataError, match="b: all cases have one label schema, got whole, inner after top label"
    ):
        calibrate(["a", "b"], scans.__getitem__)


def test_what_was_not_measured_is_not_found(worlds):
    report = calibrate(*cohort(worlds, [1.0], shape=(6, 6, 6)))
    with pytest.raises(
        DataError, match="nothing was measured of 'liver' everywhere; there are top label, organ"
    ):
        report.pooled("liver", "everywhere")
