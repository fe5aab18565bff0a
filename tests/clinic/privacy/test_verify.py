import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from delineate.clinic.privacy.inventory import Inventory
from delineate.clinic.privacy.table import Profile
from delineate.clinic.privacy.verify import Search, Survivor, bytes_survivors, survivors


@pytest.fixture
def search(image):
    """What is searched for when Ada Quillfeather was read."""
    inventory = Inventory(Profile(("modified_dates", "descriptors")))
    inventory.add(image(StudyDate="20160317", PatientAddress="17 Thistledown Lane"))
    return Search.of(inventory, inventory.known)


def clean(image, **fields):
    return image(
        PatientName="P-X", PatientID="P-X", SOPInstanceUID="2.25.1", StudyInstanceUID="2.25.2",
        SeriesInstanceUID="2.25.3", **fields,
    )  # fmt: skip


def test_a_clean_file_has_no_survivors(search, image, save, tmp_path):
    assert survivors(save(clean(image), tmp_path / "a.dcm"), search) == ()
    assert search.count > 5


@pytest.mark.parametrize(
    ("fields", "kind", "where"),
    [
        ({"SeriesDescription": "axial ADA quillfeather"}, "name or number", "SeriesDescription"),
        ({"ImageComments": "on 20160317"}, "date", "ImageComments"),
        ({"StationName": "QF20077"}, "name or number", "StationName"),
        ({"FrameOfReferenceUID": "1.2.3.4.5.6"}, "UID", "FrameOfReferenceUID"),
        ({"OperatorsName": "Quillfeather"}, "name or number", "OperatorsName"),
        ({"PixelData": b"Quillfeather^Ada".ljust(128, b"\1")}, "name or number", "bytes"),
        ({"PixelData": b"1.2.3.4.5.6".ljust(128, b"\1")}, "UID", "bytes"),
        ({"PixelData": "Quillfeather^Ada".encode("utf-16-le").ljust(128, b"\1")}, "name or number", "bytes"),
    ],
)
def test_survivors_are_found_wherever_they_hide(search, image, save, tmp_path, fields, kind, where):
    found = survivors(save(clean(image, **fields), tmp_path / "a.dcm"), search)
    assert Survivor(kind, where) in found


def test_survivors_are_found_in_sequences_meta_information_and_behind_the_end(search, image, save, tmp_path):
    item = Dataset()
    item.TextValue = "for Ada"
    nested = save(clean(image, ContentSequence=Sequence([item])), tmp_path / "a.dcm")
    assert Survivor("name or number", "TextValue") in survivors(nested, search)
    meta = clean(image)
    meta.file_meta.SourceApplicationEntityTitle = "QUILLFEATHER"
    found = survivors(save(meta, tmp_path / "b.dcm"), search)
    assert Survivor("name or number", "SourceApplicationEntityTitle") in found
    assert list(bytes_survivors(b"\0\1" * 50 + b"17 THISTLEDOWN lane", search))


def test_numbers_within_numbers_are_no_survivors(image):
    inventory = Inventory(Profile())
    inventory.add(image(PatientID="7340915"))
    search = Search.of(inventory, inventory.known)
    assert list(bytes_survivors(b"0.7340915 17340915", search)) == []


def test_kept_dates_and_uids_are_not_searched_for(image):
    inventory = Inventory(Profile(("full_dates", "uids")))
    inventory.add(image(StudyDate="20160317"))
    search = Search.of(inventory, inventory.known)
    assert search.dates == frozenset()
    assert search.uids == frozenset()
