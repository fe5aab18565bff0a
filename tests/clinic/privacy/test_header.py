import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless

from delineate.clinic.privacy.header import Tally, capped, deidentified, is_kind, new_meta, things

CT = "1.2.840.10008.5.1.4.1.1.2"
DEFAULT = ("modified_dates", "descriptors", "structured")


def item(**fields):
    made = Dataset()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def treated(image, rules):
    """Takes identity out of a slice with some fields, under some options."""

    def treat(*options, **fields):
        content = image(**fields)
        tally = Tally()
        deidentified(content, rules(*options), tally)
        content.tally = tally
        return content

    return treat


def test_x_removes_z_empties_d_gives_a_dummy_u_maps_k_keeps_c_cleans(treated, key):
    fields = {
        "PatientAddress": "17 Lane",  # X
        "AccessionNumber": "A1",  # Z
        "InstitutionName": "St Eldritch",  # X/Z/D
        "StudyDescription": "CT of Quillfeather",  # X, C with clean descriptors
        "PatientSex": "F",  # Z, K with patient characteristics
    }
    after = treated("descriptors", "patient", **fields)
    assert "PatientAddress" not in after
    assert after["AccessionNumber"].is_empty
    assert after.InstitutionName == "REMOVED"
    assert after.StudyDescription == "CT of"
    assert after.PatientSex == "F"
    assert after.SOPInstanceUID == key.uid("1.2.3.4.5.6")
    assert "StudyDescription" not in treated(**fields)
    assert treated(**fields)["PatientSex"].is_empty


@pytest.mark.parametrize(
    ("keyword", "value", "dummy"),
    [
        ("SeriesDate", "20160317", "19000101"),
        ("AcquisitionDateTime", "20160317101500", "19000101000000"),
        ("SeriesTime", "101500", "000000"),
        ("DeviceSerialNumber", "SN1", "REMOVED"),
        ("PersonName", "Grimble^Otto", "REMOVED"),
        ("SelectorASValue", "093Y", "000Y"),
        ("CertificateOfSigner", b"abcd", b"\0\0"),
        ("ClinicalTrialSubjectID", "S1", "P-"),
    ],
)
def test_dummies_are_lawful_values_of_their_kind(treated, keyword, value, dummy):
    after = treated(**{keyword: value})[keyword].value
    assert str(after).startswith(dummy) if isinstance(dummy, str) else after == dummy


def test_a_document_becomes_an_empty_one(treated):
    after = treated(EncapsulatedDocument=b"%PDF-1.4 of Ada Quillfeather")
    assert after.EncapsulatedDocument.startswith(b"%PDF-1.4\n1 0 obj")
    assert b"Quill" not in after.EncapsulatedDocument


def test_dates_are_removed_moved_or_kept(treated):
    before = {"StudyDate": "20160317", "SeriesDate": "20160319", "StudyTime": "101500"}
    assert treated(**before)["StudyDate"].is_empty
    moved = treated("modified_dates", **before)
    assert (moved.StudyDate, moved.SeriesDate, moved.StudyTime) == ("20151208", "20151210", "101500")
    assert moved.LongitudinalTemporalInformationModified == "MODIFIED"
    assert treated("full_dates", **before).StudyDate == "20160317"


def test_a_date_that_is_none_gets_a_dummy(image, rules):
    content = image()
    element = DataElement(0x00080020, "DA", "20160317")
    element._value = "soon: Ada"
    content.add(element)
    deidentified(content, rules("modified_dates"), Tally())
    assert content.StudyDate == "19000101"


def test_private_and_unknown_elements_go_at_every_depth_and_safe_ones_may_stay(image, rules):
    def make():
        content = image(ReferencedImageSequence=Sequence([item(ReferencedSOPInstanceUID="1.2.3.4.9")]))
        for ds in (content, content.ReferencedImageSequence[0]):
            ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
            ds.private_block(0x0019, "SIEMENS MR HEADER").add_new(0x0D, "UN", b"Ada ")
            ds.private_block(0x0029, "ACME", create=True).add_new(0x01, "LO", "Ada")
            ds.add(DataElement(0x00089FFE, "UN", b"Ada "))
        return content

    content = make()
    deidentified(content, rules(*DEFAULT), Tally())
    assert not [element for element in content.iterall() if element.tag.is_private or element.VR == "UN"]
    content = make()
    deidentified(content, rules(*DEFAULT, "private"), Tally())
    for ds in (content, content.ReferencedImageSequence[0]):
        assert ds[0x0019, 0x100C].value == 1000
        assert [e.tag for e in ds if e.tag.is_private] == [0x00190010, 0x0019100C]


def test_what_the_table_does_not_name_is_treated_by_its_kind(treated, key):
    after = treated(
        ConsultingPhysicianName="Grimble^Otto",
        SegmentLabel="lesion Quillfeather",
        TrackingUID="1.2.3.4.5.99",
        ImageType=["ORIGINAL", "PRIMARY", "QUILLFEATHER"],
        SliceThickness=3,
        SeriesNumber="4",
        CodingSchemeIdentificationSequence=Sequence([item(CodingSchemeUID="1.2.276.0.7230010.3")]),
    )
    assert after["ConsultingPhysicianName"].is_empty
    assert after.SegmentLabel == "lesion"
    assert after.TrackingUID == key.uid("1.2.3.4.5.99")
    assert after.ImageType == ["ORIGINAL", "PRIMARY", ""]
    assert (after.SliceThickness, after.SeriesNumber) == (3, 4)
    assert after.CodingSchemeIdentificationSequence[0].CodingSchemeUID == "1.2.276.0.7230010.3"


def test_a_sequence_that_images_may_lack_and_documents_may_not_is_treated_so(image, rules):
    def steps(content):
        content.ReferencedPerformedProcedureStepSequence = Sequence(
            [item(ReferencedSOPInstanceUID="1.2.3.4")]
        )
        deidentified(content, rules(*DEFAULT), Tally())
        return content.get("ReferencedPerformedProcedureStepSequence")

    assert steps(image()) is None
    report = image()
    del report.Rows
    assert len(steps(report)) == 0


def test_a_text_of_which_nothing_is_left_says_so(treated):
    assert treated(ContentLabel="QUILLFEATHER").ContentLabel == "REMOVED"
    assert treated(SegmentLabel="Ada Quillfeather").SegmentLabel == "REMOVED"


def test_structured_content_is_dummied_or_cleaned(treated, key):
    def content():
        return {
            "ContentSequence": Sequence(
                [
                    item(ValueType="TEXT", TextValue="Ada Quillfeather has a nodule"),
                    item(ValueType="UIDREF", UID="1.2.3.4.5.6"),
                    item(ContentSequence=Sequence([item(UID="1.2.3.4.5.6", TextValue="by Ada")])),
                ]
            )
        }

    basic = treated(**content()).ContentSequence
    assert (basic[0].ValueType, basic[0].TextValue) == ("TEXT", "REMOVED")
    assert key.uid("1.2.3.4.5.6") == basic[2].ContentSequence[0].UID
    assert basic[2].ContentSequence[0].TextValue == "REMOVED"
    cleaned = treated("structured", **content()).ContentSequence
    assert cleaned[0].TextValue == "has a nodule"
    assert key.uid("1.2.3.4.5.6") == cleaned[1].UID


def test_references_follow_their_objects(treated, key):
    reference = item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="1.2.3.4.5.6")
    after = treated(SourceImageSequence=Sequence([reference]))
    there = after.SourceImageSequence[0]
    assert there.ReferencedSOPInstanceUID == after.SOPInstanceUID
    assert there.ReferencedSOPClassUID == CT
    kept = treated("uids", SourceImageSequence=Sequence([reference]))
    assert kept.SOPInstanceUID == "1.2.3.4.5.6"


def test_numbers_of_patients_in_fields_for_numbers_are_emptied_and_sizes_are_not(image, rules):
    from delineate.clinic.privacy.known import of_values

    content = image(KVP="7340915", RescaleIntercept="-1024", InstanceNumber="1024")
    deidentified(content, rules(known=of_values(["7340915", "1024"])), Tally())
    assert content["KVP"].is_empty
    assert (content.RescaleIntercept, content.InstanceNumber) == (-1024, 1024)


def test_overlays_go_with_all_their_parts_and_curves_always(image, rules):
    def make():
        content = image()
        content.add_new(0x60000010, "US", 8)
        content.add_new(0x60003000, "OW", bytes(8))
        content.add_new(0x50003000, "OB", b"Ada ")
        return content

    content = make()
    deidentified(content, rules(*DEFAULT), Tally())
    assert not [tag for tag in content if tag.tag.group in (0x5000, 0x6000)]
    content = make()
    deidentified(content, rules(*DEFAULT, "graphics"), Tally())
    assert [element.tag.group for element in content if element.tag.group > 0x4FFF][:2] == [0x6000, 0x6000]


def test_the_object_says_what_was_done(treated):
    after = treated("modified_dates", "device")
    assert after.PatientIdentityRemoved == "YES"
    codes = [code.CodeValue for code in after.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113109"]
    assert all(len(text) <= 64 for text in after.DeidentificationMethod)
    assert str(after.PatientName) == after.PatientID != "QF-20077"


def test_the_tally_counts_attributes_and_never_values(treated):
    after = treated(*DEFAULT, PatientAddress="17 Lane")
    assert after.tally.actions["PatientAddress", "X"] == 1
    assert "Lane" not in str(after.tally)


@pytest.mark.parametrize(("age", "told"), [("093Y", "090Y"), ("089Y", "089Y"), ("010M", "010M"), ("", "")])
def test_the_very_old_are_ninety(age, told):
    assert capped(age) == told


def test_new_meta_information_names_nobody_and_keeps_the_encoding(image):
    content = image()
    content.file_meta.SourceApplicationEntityTitle = "ELDRITCH"
    content.file_meta.TransferSyntaxUID = JPEG2000Lossless
    meta = new_meta(content)
    assert [element.keyword for element in meta] == [
        "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID",
    ]  # fmt: skip
    assert meta.TransferSyntaxUID == JPEG2000Lossless


def test_uids_of_kinds_are_told_from_uids_of_things(image):
    assert is_kind("ReferencedSOPClassUID")
    assert not is_kind("SOPInstanceUID")
    assert set(things(image())) == {"1.2.3.4.5.6", "1.2.3.4.5", "1.2.3.4.5.7"}
