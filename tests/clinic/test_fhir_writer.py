"""FHIR is valid in R4 and R5, whole in itself, says what the SR says, and names nobody."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, result_of, write_images

from delineate.clinic import (
    Approval,
    Maker,
    deliver,
    draw_summary,
    measure,
    write_fhir,
    write_page,
    write_rtstruct,
    write_seg,
    write_sr,
)
from delineate.clinic.fhir_writer import bundle
from delineate.errors import DataError

VERSIONS = ("R4", "R5")


@pytest.fixture
def result(tmp_path):
    stack = Stack(columns=12, rows=10, count=6)
    return result_of(write_images(tmp_path / "series", stack), stack, blobs(stack.geometry, 2))


def before(result, folder):
    seg = write_seg(result, folder / "seg.dcm")
    sr = write_sr(result, folder / "sr.dcm", seg, measure(result))
    rt = write_rtstruct(result, folder / "rt.dcm")
    page = write_page(result, folder / "summary.pdf", draw_summary(result, measure(result)), "pdf")
    return {made.kind: made for made in (seg, sr, rt, page)}


def resources(content, kind):
    return [e["resource"] for e in content["entry"] if e["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("approval", [None, Approval("Doe^Jane", WHEN)])
@pytest.mark.parametrize("alone", [True, False])
def test_a_bundle_is_valid_to_the_models_of_fhir(result, tmp_path, version, approval, alone):
    name = {"R4": "fhir.resources.R4B.bundle", "R5": "fhir.resources.bundle"}[version]
    models = pytest.importorskip(name, reason="fhir.resources is not installed")
    signed = replace(result, approval=approval)
    made = {} if alone else before(signed, tmp_path)
    content = bundle(signed, made, measure(signed), version)
    read = models.Bundle.model_validate(content)
    again = json.loads(read.model_dump_json())
    assert len(again["entry"]) == len(content["entry"])
    assert models.Bundle.model_validate(again) == read


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bundle_says_what_was_measured_in_ucum(result, tmp_path, version):
    numbers = measure(result)
    content = bundle(result, before(result, tmp_path), numbers, version)
    by_url = {entry["fullUrl"]: entry["resource"] for entry in content["entry"]}
    groups = {r["identifier"][0]["value"]: r for r in resources(content, "Observation") if "identifier" in r}
    assert len(groups) == len(result.findings)
    for finding in result.findings:
        group = groups[f"urn:oid:{finding.tracking_uid}"]
        members = [by_url[link["reference"]] for link in group["hasMember"]]
        volume = members[0]["valueQuantity"]
        assert volume["value"] == pytest.approx(numbers.of(finding).volume_ml, abs=1e-6)
        assert (volume["unit"], volume["code"]) == ("mL", "mL")
        assert members[0]["method"]["coding"][0]["code"] == "126030"
        assert len(members) == (4 if numbers.of(finding).voxels else 1)
    kidney = groups[f"urn:oid:{result.findings[1].tracking_uid}"]["bodySite"]
    assert [code["code"] for code in kidney["coding"]] == ["64033007", "64033007:272741003=7771000"]
    assert kidney["text"] == "Left kidney"
    lesion = groups[f"urn:oid:{result.findings[2].tracking_uid}"]
    assert lesion["valueCodeableConcept"]["coding"][0]["display"] == "Neoplasm"
    assert lesion["bodySite"]["text"] == "Liver"


@pytest.mark.parametrize("version", VERSIONS)
def test_references_lead_to_resources_of_the_bundle(result, version):
    content = bundle(result, {}, measure(result), version)
    there = {entry["fullUrl"] for entry in content["entry"]}

    def led(value):
        if isinstance(value, dict):
            yield from [value["reference"]] if "reference" in value else []
            value = list(value.values())
        for each in value if isinstance(value, list) else []:
            yield from led(each)

    assert set(led(content)) <= there
    assert len(there) == len(content["entry"])


def test_r5_selects_the_segment_and_r4_names_it(result, tmp_path):
    made = before(result, tmp_path)
    selections = resources(bundle(result, made, measure(result), "R5"), "ImagingSelection")
    assert [s["instance"][0]["subset"] for s in selections] == [["1"], ["2"], ["3"], ["4"]]
    assert {s["instance"][0]["uid"] for s in selections} == {made["SEG"].sop_uid}
    r4 = bundle(result, made, measure(result), "R4")
    assert resources(r4, "ImagingSelection") == []
    assert f"{made['SEG'].sop_uid}#3" in json.dumps(r4)
    alone = resources(bundle(result, {}, measure(result), "R5"), "ImagingSelection")
    assert {(s["seriesUid"], s["code"]["coding"][0]["code"]) for s in alone} == {("1.2.3.2", "121232")}


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_final_before_a_person_has_signed(result, version):
    content = bundle(result, {}, measure(result), version)
    said = {r["status"] for kind in ("Observation", "DiagnosticReport") for r in resources(content, kind)}
    assert said == {"preliminary"}
    signed = bundle(replace(result, approval=Approval("Doe^Jane", WHEN)), {}, measure(result), version)
    said = {r["status"] for kind in ("Observation", "DiagnosticReport") for r in resources(signed, kind)}
    assert said == {"final"}
    agents = resources(signed, "Provenance")[0]["agent"]
    assert [a["type"]["coding"][0]["code"] for a in agents] == ["assembler", "verifier"]
    assert "Doe" not in json.dumps(content)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bundle_names_no_patient_but_by_the_identifier_of_the_images(result, tmp_path, version):
    text = json.dumps(bundle(result, before(result, tmp_path), measure(result), version), ensure_ascii=False)
    assert "Müller" not in text
    assert '"subject": {"type": "Patient", "identifier": {"value": "P-1"}}' in text
    result.series.header.PatientID = ""
    text = json.dumps(bundle(result, {}, measure(result), version))
    assert "not identified in the images" in text
    result.series.header.PatientID, result.series.header.IssuerOfPatientID = "7", "Ward"
    patient = resources(bundle(result, {}, measure(result), version), "ImagingStudy")[0]["subject"]
    assert patient["identifier"] == {"value": "7", "assigner": {"display": "Ward"}}


def test_what_a_server_has_already_is_kept(result):
    content = bundle(result, {}, measure(result), "R4")
    unless = {
        e["resource"]["resourceType"]: e["request"]["ifNoneExist"]
        for e in content["entry"]
        if "ifNoneExist" in e["request"]
    }
    assert sorted(unless) == ["Device", "ImagingStudy"]
    assert unless["ImagingStudy"] == "identifier=urn:dicom:uid|urn:oid:1.2.3.1"


def test_the_device_is_the_model_and_no_intelligence_where_a_person_drew(result):
    device = resources(bundle(result, {}, measure(result), "R4"), "Device")[0]
    assert device["deviceName"] == [{"type": "model-name", "name": "phantom model"}]
    assert device["identifier"][1]["value"] == MAKER.digest
    by_hand = replace(result, maker=Maker("MANUAL", "Doe"))
    assert "type" not in resources(bundle(by_hand, {}, measure(result), "R5"), "Device")[0]


def test_the_page_is_in_the_report_and_times_have_a_zone(result, tmp_path):
    content = bundle(result, before(result, tmp_path), measure(result), "R4")
    report = resources(content, "DiagnosticReport")[0]
    assert report["presentedForm"][0]["data"].startswith("JVBERi")  # %PDF-
    assert report["issued"] == "2026-01-02T03:04:05+00:00"
    late = replace(result, when=datetime(2026, 1, 1, tzinfo=UTC))
    assert resources(bundle(late, {}, measure(result), "R4"), "Provenance")[0]["recorded"].endswith("+00:00")


def other_volume(content):
    for resource in resources(content, "Observation"):
        if "valueQuantity" in resource:
            resource["valueQuantity"]["value"] = 5.0
            return


def lost_reference(content):
    resources(content, "DiagnosticReport")[0]["result"][0]["reference"] = "urn:uuid:0"


def lost_structure(content):
    del resources(content, "DiagnosticReport")[0]["result"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_volume, "liver has 5000 mm3 when read back"),
        (lost_reference, "refers to urn:uuid:0, which is not in the bundle"),
        (lost_structure, "its report does not list every structure once"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_bundle_that_says_something_else_is_refused(result, tmp_path, version, change, message):
    def spoiled(result, path, before):
        made = write_fhir(result, path, before, measure(result), version)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return made

    with pytest.raises(DataError, match=message):
        deliver(result, tmp_path / "out", {"fhir.json": spoiled})
    assert not (tmp_path / "out").exists()
