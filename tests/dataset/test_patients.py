import pytest

from delineate.dataset import Case
from delineate.dataset.patients import patient_in, with_patients


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("sub-01_ses-02_T1w", "sub-01"),
        ("sub-01", "sub-01"),
        ("BraTS-GLI-00005-001", "BraTS-GLI-00005"),
        ("TCGA-DU-7294", "TCGA-DU-7294"),
        ("TCGA-DU-7294-01A-01-TS1", "TCGA-DU-7294"),
        ("BraTS20_Training_001", None),
        ("hippocampus_001", None),
        ("subject-1", None),
    ],
)
def test_patients_are_read_from_standard_names_only(name, patient):
    assert patient_in(name) == patient


def test_a_patient_that_somebody_said_is_kept():
    said, unsaid = with_patients([Case("sub-01_a", (None,), group="x"), Case("sub-01_b", (None,))])
    assert (said.group, unsaid.group) == ("x", "sub-01")
