import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.clinic.privacy.keys import Key
from delineate.clinic.privacy.known import of_names
from delineate.clinic.privacy.texts import Cleaner, uids_in

KEY = Key(b"k" * 32)
CLEANER = Cleaner(KEY, of_names(["Quillfeather^Ada"]))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("CT CHEST W CONTRAST Quillfeather", "CT CHEST W CONTRAST"),
        ("axial, Ada Quillfeather, 3mm", "axial, , 3mm"),
        ("seen on 2016-03-17 by Dr. Grimblewick", "seen on by"),
        ("17.3.2016 or 17 Mar 2016 or March 17, 2016", "or or"),
        ("20160317", ""),
        ("call (555) 010-7000 or +49 30 1234567 or 030/1234567", "call or or"),
        ("mail ada.q@example.org now", "mail now"),
        ("MRN: 47-11 stable", "stable"),
        ("SSN 123-45-6789", "SSN"),
        ("record 4711081516", "record"),
        ("Patient name: Grimble", ""),
    ],
)
def test_what_names_somebody_is_cut_out(text, cleaned):
    assert CLEANER.cleaned(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "CT CHEST W CONTRAST", "T1 MPRAGE sag 1x1x1 TE 2.98", "ep2d_diff_b1000 TR 5000", "Lossy 10:1",
        "SIEMENS syngo.via VB30A", "0.976562", "STANDARD 3.27 mm / 512 x 512", "Dr", "12/3", "",
    ],
)  # fmt: skip
def test_what_names_nobody_stays_as_it_is(text):
    assert CLEANER.cleaned(text) == text


def test_uids_in_a_text_are_mapped_like_those_in_their_fields():
    assert CLEANER.cleaned("see 1.2.3.4.5.6 there") == f"see {KEY.uid('1.2.3.4.5.6')} there"
    assert Cleaner(None, CLEANER.known).cleaned("see 1.2.3.4.5.6") == "see 1.2.3.4.5.6"
    assert uids_in("1.2.3.4.5.6 and 1.2.840.10008.1.2") == ("1.2.3.4.5.6",)


@given(st.text(max_size=80) | st.text(alphabet="Ada Quillfether0123456789-/.:@ DrMN", max_size=80))
def test_a_clean_text_is_clean_and_no_longer_than_it_was(text):
    cleaner = Cleaner(None, CLEANER.known)
    cleaned = cleaner.cleaned(text)
    assert cleaner.cleaned(cleaned) == cleaned
    assert len(cleaned) <= len(text)
    assert not list(cleaner.known.spans(cleaned))
