from pydicom.sequence import Sequence

from delineate.clinic.privacy.inventory import Inventory, person_of
from delineate.clinic.privacy.table import Profile


def test_names_numbers_and_places_are_listed_and_descriptions_are_not(image):
    inventory = Inventory(Profile(("descriptors",)))
    nested = image(PatientName="Zwiebelmann^Hanne", PatientAddress="17 Thistledown Lane")
    content = image(
        OperatorsName="Snoot^Piet",
        InstitutionName="St Eldritch Infirmary",
        StudyDescription="CT CHEST",
        StationName="CT",
        DeviceSerialNumber="SN88123",
        StudyDate="20160317",
        OriginalAttributesSequence=Sequence([nested]),
    )
    inventory.add(content)
    assert inventory.names == {"Quillfeather^Ada", "Snoot^Piet", "Zwiebelmann^Hanne"}
    assert inventory.values == {"QF-20077", "St Eldritch Infirmary", "SN88123", "17 Thistledown Lane"}
    assert "1.2.3.4.5.6" in inventory.uids
    assert inventory.dates == {"20160317"}
    assert ("snoot",) in inventory.known.sequences


def test_what_is_retained_is_not_looked_for(image):
    inventory = Inventory(Profile(("institution", "uids")))
    inventory.add(image(InstitutionName="St Eldritch Infirmary"))
    assert inventory.values == {"QF-20077"}
    assert inventory.uids == set()


def test_a_person_is_told_by_the_best_that_there_is(image):
    assert person_of(image(IssuerOfPatientID="St Eldritch")) == "QF-20077"
    assert person_of(image(PatientID="", PatientBirthDate="19410117")) == "Quillfeather^Ada\x0019410117"
    assert person_of(image(PatientID="", PatientName="")) == "1.2.3.4.5"
