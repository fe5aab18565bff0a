from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.clinic.privacy.known import Known, of_names, of_values, tokens_of

ADA = of_names(["Quillfeather^Ada^Maria"])


def found(known: Known, text: str) -> list[str]:
    return [text[a:b] for a, b in known.spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "QUILLFEATHER^ADA", "Ada Quillfeather", "quillfeather, ada", "QUILLFEATHER_THORAX", "AdaQuillfeather",
        "quillfeatherada", "Quillfeather's head", "1Quillfeather2", "Quíllfeather",
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_written(text):
    assert found(ADA, text)


@pytest.mark.parametrize("text", ["CT CHEST", "Quillfeathers", "Canada", "adam", ""])
def test_a_name_is_not_found_within_other_words(text):
    assert not found(ADA, text)


def test_short_and_common_words_are_no_names_by_themselves():
    li = of_names(["Li^Head"])
    assert not found(li, "head of Li")
    assert found(of_names(["Li^Wei"]), "seen: LI WEI")


def test_names_in_scripts_without_spaces_are_found_within_words():
    known = of_names(["Yamada^Tarou=山田^太郎=やまだ^たろう"])
    assert found(known, "患者山田太郎さん") == ["山田", "太郎"]
    assert found(known, "yamada")


def test_numbers_and_addresses_are_found_as_a_whole():
    known = of_values(["QF-20077", "17 Thistledown Lane", "123"])
    assert found(known, "id qf20077 there") == ["qf20077"]
    assert found(known, "17, Thistledown Lane")
    assert not found(known, "20077 123 Lane 17")
    assert found(of_values(["MRN7340915"]), "see 7340915")


def test_what_stands_apart_is_not_one_identifier():
    assert not found(of_values(["QF-20077"]), "QF  ---- 20077")


@given(st.text(max_size=60), st.text(max_size=20))
def test_spans_lie_in_the_text_in_order(text, name):
    spans = list(of_names([name, text[:10]]).spans(text))
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(st.text(alphabet="abcdefgh ÄÖßçé12", max_size=30))
def test_tokens_do_not_depend_on_case(text):
    assert tokens_of(text) == tokens_of(text.lower())
