import pytest

from delineate.dataset import Case
from delineate.errors import DataError


def test_a_case_is_its_own_patient_unless_somebody_says_otherwise():
    assert Case("a", (None,)).group == "a"
    assert Case("a", (None,), group="p").group == "p"


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "a\nb", "a:b"])
def test_an_id_that_cannot_name_a_folder_is_refused(name):
    with pytest.raises(DataError, match="cannot name a case"):
        Case(name, (None,))


def test_a_case_without_images_is_refused():
    with pytest.raises(DataError, match="a: a case has at least one image"):
        Case("a", ())
