"""Codes mean what DICOM's own dictionaries say, and names find them."""

import re

import pytest
from pydicom.sr._concepts_dict import concepts

from delineate.clinic.codes import CATEGORIES, LATERALITY, Codes
from delineate.errors import DataError
from delineate.space import Label

CODES = Codes.shipped()
KNOWN: dict[str, set[str]] = {}
for found in concepts["SCT"].values():
    for value, (meaning, _) in found.items():
        KNOWN.setdefault(value, set()).add(meaning)


def plain(meaning: str) -> set[str]:
    """The words of a meaning, without those that terminologies add."""
    words = re.findall(r"[a-z0-9]+", meaning.lower().replace("hemorrhage", "haemorrhage"))
    dropped = {"structure", "body", "region", "of", "the", "entire", "and", "observable", "entity", "tissue"}
    return {word.removesuffix("s") for word in words} - dropped


def test_there_are_at_least_two_hundred_structures_and_each_name_is_found():
    assert len(CODES.rows) >= 200
    for row in CODES.rows:
        for name in (row.name, *row.synonyms):
            assert CODES.find(name).kind.value == row.code, name


def test_each_code_that_pydicom_knows_has_the_same_meaning():
    compared = 0
    for row in CODES.rows:
        if row.code in KNOWN:
            compared += 1
            assert any(plain(row.meaning) & plain(meaning) for meaning in KNOWN[row.code]), row
    assert compared >= 300


def test_most_meanings_are_word_for_word_those_of_dicom():
    same = [row for row in CODES.rows if row.meaning.lower() in {m.lower() for m in KNOWN.get(row.code, ())}]
    assert len(same) > 280


def test_categories_and_sides_are_those_of_dicom():
    for key, code in CATEGORIES.items():
        if key != "anatomy":  # 123037004 took the place of 91723000 in CID 7150
            assert code.meaning in KNOWN[code.value]
    for side in LATERALITY.values():
        assert side.meaning in KNOWN[side.value]


def test_no_name_stands_for_two_structures():
    names = [row.name for row in CODES.rows]
    assert len(set(names)) == len(names)
    rows = {row.name: row for row in CODES.rows}
    for row in CODES.rows:
        for name in (row.name, *row.synonyms):
            assert rows[CODES.by_words[frozenset(_key(name))].name].code == row.code, name


def _key(name: str):
    from delineate.clinic.codes import _words

    return _words(name)


@pytest.mark.parametrize(
    ("name", "kind", "side", "region"),
    [
        ("kidney_left", "64033007", "Left", None),
        ("Left kidney", "64033007", "Left", None),
        ("Kidney_L", "64033007", "Left", None),
        ("rib_right_4", "25523003", "Right", None),
        ("heart_atrium_left", "82471001", None, None),
        ("liver tumour", "108369006", None, "10200004"),
        ("kidney_cyst_right", "367643001", "Right", "64033007"),
        ("Lungs", "39607008", None, None),
        ("SpinalCord", "2748008", None, None),
        ("pleural_effusion", "41699000", None, "91381003"),
    ],
)
def test_a_structure_is_found_however_its_words_are_written(name, kind, side, region):
    found = CODES.find(name)
    assert found.kind.value == kind
    assert (found.side and found.side.meaning) == side
    assert (found.region and found.region.value) == region


def test_the_class_names_of_totalsegmentator_have_codes():
    names = [f"vertebrae_{name}" for name in ("C1", "C7", "T1", "T12", "L1", "L5", "S1")]
    names += [f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)]
    names += [
        "spleen",
        "kidney_right",
        "gallbladder",
        "adrenal_gland_left",
        "lung_upper_lobe_left",
        "esophagus",
    ]
    names += [
        "small_bowel",
        "urinary_bladder",
        "iliac_vena_left",
        "portal_vein_and_splenic_vein",
        "autochthon_left",
    ]
    names += [
        "clavicula_right",
        "hip_left",
        "gluteus_minimus_left",
        "costal_cartilages",
        "brachiocephalic_trunk",
    ]
    names += [
        "atrial_appendage_left",
        "lung_middle_lobe_right",
        "common_carotid_artery_left",
        "skull",
        "sternum",
    ]
    for name in names:
        CODES.find(name)


def test_unknown_names_are_refused_with_near_ones():
    with pytest.raises(DataError, match=r"'Lvier': no such structure.*near: liver") as error:
        CODES.find("Lvier")
    assert "99ACME" in str(error.value)
    with pytest.raises(DataError, match="structures, none of them near"):
        CODES.find("qqqqqqqq")


def test_a_side_that_a_structure_has_not_is_refused():
    with pytest.raises(DataError, match="Spleen has no left side"):
        CODES.find("spleen_left")


def test_codes_in_a_schema_are_looked_up_and_own_schemes_are_taken():
    assert CODES.named(Label(value=1, name="Leber", code="SCT:10200004")).kind.meaning == "Liver"
    assert CODES.named(Label(value=1, name="Niere left", code="SCT:64033007")).side == LATERALITY["left"]
    own = CODES.named(Label(value=1, name="thing", code="99ACME:0815:A thing", color=(1, 2, 3)))
    assert (own.kind.scheme, own.kind.value, own.kind.meaning) == ("99ACME", "0815", "A thing")
    assert own.color == (1, 2, 3)
    assert CODES.named(Label(value=1, name="thing", code="99ACME:0815")).kind.meaning == "thing"


def test_unknown_and_broken_codes_are_refused():
    with pytest.raises(DataError, match="the code SCT:1 is not in the table"):
        CODES.named(Label(value=1, name="x", code="SCT:1"))
    with pytest.raises(DataError, match="'10200004' is no code"):
        CODES.named(Label(value=1, name="x", code="10200004"))
    with pytest.raises(DataError, match="too long a code"):
        CODES.named(Label(value=1, name="x", code="99ACME:12345678901234567"))


def test_a_table_of_ones_own_comes_first(tmp_path):
    head = "name,synonyms,category,code,meaning,sides,region,color,role\n"
    own = tmp_path / "own.csv"
    own.write_text(
        head + "liver,,anatomy,99ACME:1,My liver,,,ff0000,\ngizmo,,object,99ACME:2,Gizmo,,,00ff00,\n"
    )
    codes = CODES.extended(own)
    assert codes.find("liver").kind.meaning == "My liver"
    assert codes.find("gizmo").color == (0, 255, 0)
    assert codes.find("spleen").kind.value == "78961009"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,code\n", "is no table of codes"),
        ("", "got nothing"),
        ("{head}a,,anatomy,,x,,,ff0000,\n", "line 2: a structure has a name, a code and a meaning"),
        ("{head}a,,thing,1,x,,,ff0000,\n", "'thing' is no category"),
        ("{head}a,,anatomy,1,x,,,red,\n", "'red' is no colour"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path, text, message):
    file = tmp_path / "own.csv"
    file.write_text(text.format(head="name,synonyms,category,code,meaning,sides,region,color,role\n"))
    with pytest.raises(DataError, match=message):
        CODES.extended(file)
    with pytest.raises(DataError, match="cannot be read"):
        CODES.extended(tmp_path / "none.csv")
