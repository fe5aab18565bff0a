from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.clinic.privacy.dates import shifted

dates = st.dates(date(1920, 1, 1), date(2040, 1, 1))
shifts = st.integers(-3650, -1)


@given(dates, dates, shifts)
def test_intervals_hold(one, other, days):
    moved = [date.fromisoformat(shifted(f"{day:%Y%m%d}", "DA", days)) for day in (one, other)]
    assert moved[1] - moved[0] == other - one
    assert moved[0] == one + timedelta(days)


@given(dates, shifts, st.sampled_from(["", "10", "101500", "101500.123456", "101500.1+0130", "1015-0500"]))
def test_the_time_of_day_and_its_zone_stay(day, days, time):
    assert shifted(f"{day:%Y%m%d}{time}", "DT", days) == f"{day + timedelta(days):%Y%m%d}{time}"


def test_what_is_known_to_the_month_stays_known_to_the_month():
    assert shifted("201903", "DT", -365) == "201803"
    assert shifted("2019", "DT", -365) == "2018"


def test_old_spellings_are_read_and_times_stay():
    assert shifted("2019.03.21", "DA", -1) == "20190320"
    assert shifted("2019-03-21 ", "DA", -1) == "20190320"
    assert shifted("101500", "TM", -1) == "101500"
    assert shifted("", "DA", -1) == ""


@pytest.mark.parametrize("value", ["yesterday", "20191332", "2019", "00010101", "20190321-20190322"])
def test_what_is_no_date_or_leaves_the_calendar_is_none(value):
    assert shifted(value, "DA", -400) is None
