"""Rules say in words that people use which series go where, and why others do not."""

import re

import pytest
from clinic_stacks import Stack, write_images
from pydantic import ValidationError

from delineate.clinic.routing import Match, Rule, routed, study_series
from delineate.errors import DataError


@pytest.fixture
def study(tmp_path):
    """A CT of 5 slices of 2 mm, and two MR series; a scout and a note that is no image."""
    folder = tmp_path / "study"
    about = {"BodyPartExamined": "ABDOMEN", "StudyDescription": "CT Abdomen"}
    write_images(
        folder / "ct", Stack(), SeriesInstanceUID="1.1", SeriesDescription="Portal venous 2.0", **about
    )
    mr = {"Modality": "MR", "BodyPartExamined": "HEAD"}
    write_images(folder / "t1", Stack(count=3), SeriesInstanceUID="1.2", SeriesDescription="t1 tra", **mr)
    write_images(folder / "t1c", Stack(count=4), SeriesInstanceUID="1.3", SeriesDescription="t1 tra KM", **mr)
    scout = {"SeriesDescription": "Topogram", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    write_images(folder / "scout", Stack(count=1), SeriesInstanceUID="1.4", **scout)
    (folder / "note.txt").write_text("no image")
    return study_series(folder)


def rule(**options):
    return Rule(name="r", model="m", **options)


def name(series):
    return series.texts["series"][0]


def going(study, *rules):
    return [(route.rule.name, *map(name, route.series)) for route in routed(rules, study, name).routes]


def test_series_are_known_by_their_headers(study):
    ct = next(series for series in study if series.uid == "1.1")
    assert (ct.images, ct.thickness_mm, ct.texts["body_part"], ct.patient) == (5, 2.0, ("ABDOMEN",), "P-1")
    assert len(ct.content) == 5
    assert len(study) == 4


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"modality": ("MR",)}, "modality is not MR"),
        ({"body_part": ("HEAD", "NECK")}, "body_part is not HEAD or NECK"),
        ({"series": ("*arterial*",)}, r"series is not \*arterial\*"),
        ({"modality": ("CT",), "without": ("*venous*",)}, "series is one of those left out"),
        ({"thickness_mm": (0.5, 1.5)}, "thickness is 2 mm, not 0.5 to 1.5 mm"),
        ({"images": (20, 900)}, "has 5 images, not 20 to 900"),
    ],
)
def test_a_series_that_does_not_fit_is_told_why(study, match, reason):
    refusals = routed([rule(match=Match(**match))], study, name).refusals
    [found] = [why for _, series, why in refusals if series.startswith("Portal")]
    assert re.fullmatch(reason, found)


def test_case_does_not_matter_and_patterns_are_those_of_files(study):
    assert going(study, rule(match=Match(series=("PORTAL*",)))) == [("r", "Portal venous 2.0")]
    assert going(study, rule(match=Match(modality=("c?",), without=("LOCALIZER",)))) == [
        ("r", "Portal venous 2.0")
    ]


def test_a_series_may_go_to_several_models(study):
    other = rule(match=Match(modality=("CT",), images=(2, 9))).but(name="other")
    assert going(study, rule(match=Match(series=("portal*",))), other) == [
        ("r", "Portal venous 2.0"),
        ("other", "Portal venous 2.0"),
    ]


def test_models_of_several_series_get_one_for_each_channel(study):
    channels = {"T1c": Match(series=("* KM",)), "T1": Match(series=("t1 tra",))}
    found = rule(match=Match(modality=("MR",)), channels=channels, drawn_on="T1")
    [route] = routed([found], study, name).routes
    assert [name(series) for series in route.series] == ["t1 tra KM", "t1 tra"]
    assert name(route.drawn_on) == "t1 tra"


def test_a_missing_channel_is_said_and_nothing_is_taken_in_its_place(study):
    channels = {"T1": Match(series=("t1 tra",)), "FLAIR": Match(series=("*flair*",))}
    routing = routed([rule(match=Match(modality=("MR",)), channels=channels)], study, name)
    assert routing.routes == ()
    assert ("r", "-", "no series fits the channel FLAIR") in routing.refusals


def test_two_series_for_one_channel_are_refused(study):
    channels = {"T1": Match(series=("t1*",))}
    with pytest.raises(DataError, match="2 series fit the channel T1"):
        routed([rule(match=Match(modality=("MR",)), channels=channels)], study, name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "matches every series"),
        ({"match": {"modality": ["CT"]}, "seg": "none"}, "sr points at the segments of seg"),
        ({"match": {"modality": ["CT"]}, "seg": "none", "rtstruct": "none", "sr": False}, "writes nothing"),
        ({"match": {"modality": ["CT"]}, "drawn_on": "T1"}, "drawn_on is none of its channels"),
        ({"match": {"thickness_mm": [3, 1]}}, r"expected \[least, most\]"),
        ({"match": {"modalty": ["CT"]}}, "Extra inputs are not permitted"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        rule(**options)
