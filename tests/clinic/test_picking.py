"""Series are picked by rules, and each says why it was taken or passed over."""

import pytest
from clinic_stacks import Stack, write_images
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic import Picking, look, pick
from delineate.errors import DataError

SAGITTAL = Stack(turn=(0, 1.0, 0, 0, 0, -1.0, -1.0, 0, 0))
OBLIQUE = Stack(turn=(1.0, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8))


@pytest.fixture
def download(tmp_path):
    """Four series of one study, one of another."""
    for n, (stack, tags) in enumerate(
        [
            (Stack(gap=5.0), {"SeriesDescription": "Portal venous 5.0", "ContrastBolusAgent": "iodine"}),
            (Stack(gap=1.25, count=9), {"SeriesDescription": "Portal 1.25", "ContrastBolusAgent": "iodine"}),
            (SAGITTAL, {"SeriesDescription": "native"}),
            (Stack(), {"SeriesDescription": "T1", "Modality": "MR"}),
            (OBLIQUE, {"SeriesDescription": "PORTAL late", "StudyInstanceUID": "1.2.3.9", "PatientID": "B"}),
        ],
        1,
    ):
        tags = {"SeriesInstanceUID": f"1.6.{n}", "SeriesDate": f"2026010{n}", "SeriesTime": "120000"} | tags
        write_images(tmp_path / str(n), stack, **tags)
    return look(tmp_path)


def taken(download, *texts) -> list[int]:
    return [verdict.number for verdict in pick(download, Picking.of(texts)) if verdict.taken]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("modality=MR",), [4]),
        (("series=*portal*",), [1, 2, 5]),
        (("series=T1", "series=native"), [3, 4]),
        (("modality=CT", "without=*portal*"), [3]),
        (("orientation=sagittal",), [3]),
        (("orientation=sagittal", "orientation=oblique"), [3, 5]),
        (("thickness=0-2",), [2, 3, 4, 5]),
        (("thickness=-1.5",), [2]),
        (("thickness=5",), [1]),
        (("images=6-",), [2]),
        (("contrast=yes",), [1, 2]),
        (("contrast=no", "modality=CT"), [3, 5]),
        (("modality=CT", "prefer=thinnest"), [2, 5]),
        (("modality=CT", "prefer=newest"), [3, 5]),
        (("prefer=most-slices",), [2, 5]),
    ],
)
def test_a_rule_takes_what_fits(download, texts, numbers):
    assert taken(download, *texts) == numbers


def test_every_series_says_why(download):
    rule = Picking.of(["series=*portal*", "prefer=thinnest"])
    why = {verdict.number: verdict.why for verdict in pick(download, rule)}
    assert why == {
        1: "series 2 of the same study is the thinnest",
        2: "fits; the thinnest of 2 in its study",
        3: "series is not *portal*",
        4: "series is not *portal*",
        5: "fits",
    }
    said = {v.number: v.why for v in pick(download, Picking.of(["contrast=yes", "orientation=axial"]))}
    assert said[3] == "is sagittal, not axial"
    assert said[4] == "names no contrast agent"
    assert {v.why for v in pick(download, Picking.of(["contrast=no"])) if not v.taken} == {
        "names a contrast agent"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modality", "expected KEY=VALUE with a key of modality"),
        ("colour=red", "expected KEY=VALUE"),
        ("thickness=thin", "expected LEAST-MOST, such as 0.5-3"),
        ("contrast=maybe", "expected one of yes, no"),
        ("prefer=best", "expected one of newest, thinnest, most-slices"),
        ("orientation=axal", "expected one of axial, coronal"),
    ],
)
def test_rules_that_make_no_sense_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        Picking.of([text])


def test_the_verb_shows_what_was_picked_and_why(download):
    shown = CliRunner().invoke(app, ["-q", "studies", str(download.folder), "--pick", "modality=MR"])
    assert shown.exit_code == 0, shown.output
    assert "#4 picked: fits" in shown.stdout
    assert "#1 passed over: modality is not MR" in shown.stdout
