import pytest
from pydicom._private_dict import private_dictionaries

from delineate.clinic.privacy.table import CODES, OPTIONS, Profile, chosen, rows, safe_private, vocabulary
from delineate.errors import DataError

# Read in PS3.15 2026c Table E.1-1: (tag, VR, options, action).
SPOT_CHECKS = [
    (0x00100010, "PN", (), "Z"),
    (0x00100020, "LO", (), "D"),  # Z/D
    (0x00100030, "DA", ("full_dates",), "Z"),
    (0x00100040, "CS", (), "Z"),
    (0x00100040, "CS", ("patient",), "K"),
    (0x00101010, "AS", ("patient",), "K"),
    (0x00102110, "LO", ("patient",), "C"),
    (0x00080018, "UI", (), "U"),
    (0x00080018, "UI", ("uids",), "K"),
    (0x00080020, "DA", (), "Z"),
    (0x00080020, "DA", ("modified_dates",), "C"),
    (0x00080020, "DA", ("full_dates",), "K"),
    (0x00080080, "LO", (), "D"),  # X/Z/D
    (0x00080080, "LO", ("institution",), "K"),
    (0x00081030, "LO", (), "X"),
    (0x00081030, "LO", ("descriptors",), "C"),
    (0x00181000, "LO", ("device",), "K"),
    (0x00081140, "SQ", (), "U"),  # X/Z/U*
    (0x00081110, "SQ", (), "Z"),  # X/Z
    (0x0040A730, "SQ", (), "D"),
    (0x0040A730, "SQ", ("structured",), "C"),
    (0x30060026, "LO", (), "Z"),
    (0x50123000, "OW", (), "X"),
    (0x60023000, "OW", (), "X"),
    (0x60023000, "OW", ("graphics",), "C"),
    (0x00091001, "LO", (), "X"),
    (0x00280010, "US", (), None),
]


@pytest.mark.parametrize(("tag", "vr", "options", "action"), SPOT_CHECKS)
def test_rows_read_in_the_standard(tag, vr, options, action):
    assert Profile(options).action(tag, vr) == action


def test_the_table_is_whole_and_lawful():
    assert len(rows()) == 656
    basics = {row.basic for row in rows().values()}
    assert basics == {"D", "Z", "X", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"}
    assert {name for row in rows().values() for name in row.options} == set(OPTIONS)
    assert {name: CODES[name][0] for name in OPTIONS}["uids"] == "113110"


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_what_its_rows_say(option):
    for tag, row in rows().items():
        if option in row.options and "x" not in tag and tag != "odd":
            assert Profile((option,)).action(int(tag, 16), "LO") == row.options[option]
            assert Profile().action(int(tag, 16), "LO") == chosen(row.basic, "LO")


def test_keeping_is_stronger_than_cleaning():
    assert Profile(("full_dates", "device")).action(0x00181200, "DA") == "K"


def test_of_several_actions_the_one_is_taken_that_leaves_a_lawful_object():
    assert [chosen(basic, "LO") for basic in ("X/D", "X/Z/D", "Z/D", "X/Z")] == ["D", "D", "D", "Z"]
    assert [chosen(basic, "SQ") for basic in ("X/D", "X/Z/D", "X/Z")] == ["D", "Z", "Z"]


def test_an_unknown_option_and_two_ways_with_dates_are_refused():
    with pytest.raises(DataError, match="everything: no option of the profile"):
        Profile(("everything",))
    with pytest.raises(DataError, match="dates are either kept or moved"):
        Profile(("full_dates", "modified_dates"))


def test_safe_private_elements_and_the_vocabulary_are_there():
    assert ("SIEMENS MR HEADER", 0x0019, 0x0C) in safe_private()
    assert len(safe_private()) == 42
    assert {"chest", "contrast"} <= vocabulary()
    assert all(word == word.lower() for word in vocabulary())


def test_safe_private_elements_are_numbers_or_codes_by_the_dictionaries_of_their_makers():
    explained = 0
    for creator, group, element in safe_private():
        for tag, (kind, _, meaning, _) in private_dictionaries.get(creator, {}).items():
            if tag.upper() == f"{group:04X}XX{element:02X}":
                assert kind in ("DS", "FL", "FD", "IS", "SL", "SS", "US", "CS", "SH"), (creator, tag)
                explained += meaning != "Unknown"  # pydicom does not know all that the standard explains
    assert explained >= 38


def test_the_basic_profile_agrees_with_a_peer():
    peer = pytest.importorskip(
        "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c", reason="no dicom-anonymizer here"
    )
    named = {"D": "D", "Z": "Z", "X": "X", "U": "U", "Z_D": "Z/D", "X_Z": "X/Z", "X_D": "X/D"}
    named |= {"X_Z_D": "X/Z/D", "X_Z_U_STAR": "X/Z/U*"}
    for name, basic in named.items():
        for group, element, *mask in getattr(peer, f"{name}_TAGS"):
            if not mask:
                assert rows()[f"{group:04X}{element:04X}"].basic == basic
