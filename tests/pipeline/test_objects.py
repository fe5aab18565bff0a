"""What is wished for is written, in an order in which later objects find those that they refer to."""

from dataclasses import replace

import pytest

from delineate.errors import DataError
from delineate.pipeline import DeliveryWishes, objects

EVERYTHING = DeliveryWishes(
    seg="BINARY",
    rtstruct="keyhole",
    sr=True,
    fhir=("R4", "R5"),
    stl=True,
    glb=True,
    summary=True,
    summary_dicom=True,
)


def test_objects_come_after_those_that_they_refer_to():
    names = list(objects.writers(None, EVERYTHING))
    assert names == [
        "seg.dcm", "rtstruct.dcm", "sr.dcm", "summary.pdf", "summary.png", "summary.dcm",
        "stl", "surfaces.glb", "fhir_r4.json", "fhir_r5.json",
    ]  # fmt: skip
    assert list(objects.writers(None, replace(DeliveryWishes(), glb=True))) == ["surfaces.glb"]


def test_what_several_objects_share_is_worked_out_once_and_only_if_wished_for(monkeypatch):
    counted = []
    monkeypatch.setattr(objects, "surfaces", lambda result, smoothing: counted.append(smoothing) or {})
    monkeypatch.setattr(objects, "write_stl", lambda result, path, found: None)
    monkeypatch.setattr(objects, "write_glb", lambda result, path, found: None)
    writers = objects.writers(None, EVERYTHING)
    assert counted == []
    writers["stl"](None, None, {})
    writers["surfaces.glb"](None, None, {})
    assert counted == [10]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (DeliveryWishes(), "nothing to deliver. Say what to write"),
        (DeliveryWishes(sr=True), "the report points at segments, and there are none"),
        (DeliveryWishes(seg="BINARY", summary_dicom=True), "holds the page of the summary"),
        (DeliveryWishes(seg="BINARY", names_patient=True), "is about the page of the summary"),
    ],
)
def test_wishes_that_cannot_be_are_refused(wishes, message):
    with pytest.raises(DataError, match=message):
        wishes.check()
    EVERYTHING.check()
