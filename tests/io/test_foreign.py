import warnings
from pathlib import Path

import pytest

from delineate.errors import DataError, GeometryError, RecordError
from delineate.io.foreign import quiet, reading

PATH = Path("scan.nii")


@pytest.mark.parametrize("error", [KeyError("dim"), MemoryError(), ValueError("first line\nbad header.\n")])
def test_whatever_a_parser_raises_names_the_file_and_a_way_out(error):
    expected = r"(?s)scan\.nii: cannot be read as NIfTI: .*copy it again"
    with pytest.raises(DataError, match=expected), reading(PATH, "NIfTI"):
        raise error


def test_the_last_line_of_a_long_complaint_is_quoted_shortened():
    with pytest.raises(DataError, match="bad header") as caught, reading(PATH, "NIfTI"):
        raise ValueError("noise\n" + "bad header " * 100)
    assert len(str(caught.value)) < 400


def test_private_words_stay_out_of_the_message():
    expected = "cannot be read as DICOM: ValueError"
    with pytest.raises(DataError, match=expected) as caught, reading(PATH, "DICOM", private=True):
        raise ValueError("Secret^Name is no date")
    assert "Secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_impossible_grid_is_the_fault_of_the_file():
    with (
        pytest.raises(
            DataError, match=r"(?s)scan\.nii: its header places no voxels: flat.*Correct the header"
        ),
        reading(PATH, "NIfTI"),
    ):
        raise GeometryError("flat")


def test_our_own_errors_pass_as_they_are():
    with pytest.raises(RecordError, match=r"^mine$"), reading(PATH, "NIfTI"):
        raise RecordError("mine")


def test_only_the_named_package_is_quiet():
    with quiet("delineate_nowhere"), pytest.raises(UserWarning):
        warnings.warn("heard", stacklevel=1)
    with quiet(__name__):
        warnings.warn("not heard", stacklevel=1)
