import pytest

from delineate.io.identity import read_identity


def test_formats_without_patients_name_none(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"x")
    assert read_identity(path) is None
    assert read_identity(tmp_path) is None


def test_real_series_are_told_apart_and_nobody_is_named(shared_data):
    root = shared_data / "sts_sarcoma_dicom" / "STS_001"
    folders = sorted(path.parent for path in root.rglob("image"))
    if not folders:
        pytest.skip("no such series")
    found = [read_identity(folder / "image") for folder in folders]
    assert len({one.patient for one in found}) == 1
    assert all(len(one.patient) == 64 for one in found)
    assert "STS" not in repr(found)


def test_headers_that_say_nothing_give_empty_digests(shared_data):
    found = read_identity(shared_data / "totalseg" / "example_ct_dicom")
    assert (found.patient, found.study) == ("", "")
