import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.clinic.privacy.keys import MOST_DAYS, Key, make_key, read_key
from delineate.errors import DataError

ONE, OTHER = Key(b"1" * 32), Key(b"2" * 32)
uids = st.lists(st.integers(0, 10**9), min_size=3, max_size=8).map(
    lambda parts: "1." + ".".join(map(str, parts))
)


@given(uids)
def test_the_same_key_gives_the_same_uid_and_another_key_another(uid):
    assert ONE.uid(uid) == Key(b"1" * 32).uid(uid) != OTHER.uid(uid)


@given(uids)
def test_a_new_uid_is_lawful_and_shows_nothing_of_the_old(uid):
    new = ONE.uid(uid)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", new)
    assert len(new) <= 64
    assert uid not in new


@given(st.lists(uids, unique=True, max_size=20))
def test_different_uids_stay_different(originals):
    assert len({ONE.uid(uid) for uid in originals}) == len(originals)


def test_uids_of_the_standard_and_empty_ones_stay():
    assert ONE.uid("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"
    assert ONE.uid("") == ""
    assert ONE.uid("1.2.3.4\0") == ONE.uid("1.2.3.4")


@given(st.text(max_size=40))
def test_days_are_whole_in_the_past_and_the_same_for_a_patient(patient):
    assert -MOST_DAYS <= ONE.days(patient) == ONE.days(patient) <= -1


@given(st.text(min_size=5, max_size=40))
def test_a_pseudonym_fits_every_field_and_shows_nothing(patient):
    assert re.fullmatch(r"P-[A-Z2-7]{12}", ONE.pseudonym(patient))
    assert ONE.pseudonym(patient) != OTHER.pseudonym(patient)


def test_a_key_is_never_shown():
    assert repr(ONE) == str(ONE) == "Key(...)"


def test_a_made_key_is_read_back_and_belongs_to_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "project.key"
    made = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == made
    assert make_key(tmp_path / "other.key") != made
    with pytest.raises(FileExistsError):
        make_key(path)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "project.key"
    make_key(path)
    path.chmod(0o644)
    with pytest.raises(DataError, match=r"others than you may read this key \(permissions 644\)"):
        read_key(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"zz" * 32, b"\xff" * 64])
def test_what_is_no_key_is_refused_and_not_quoted(tmp_path, content):
    path = tmp_path / "project.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DataError, match="is no key: expected 64 hexadecimal digits") as refused:
        read_key(path)
    assert "zz" not in str(refused.value)


def test_a_missing_key_and_a_short_one_are_refused(tmp_path):
    with pytest.raises(DataError, match="the key cannot be read"):
        read_key(tmp_path / "absent.key")
    with pytest.raises(DataError, match="a key has 32 bytes or more, got 3"):
        Key(b"abc")
