"""Colours survive DICOM, and are those that colour science has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.clinic.color import from_cielab, to_cielab


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_comes_back(color):
    assert from_cielab(to_cielab(color)) == color


@pytest.mark.parametrize(
    ("color", "lab"),  # of the white of D50, Lindbloom's calculator
    [
        ((255, 0, 0), (54.29, 80.81, 69.89)),
        ((0, 255, 0), (87.82, -79.27, 80.99)),
        ((0, 0, 255), (29.57, 68.30, -112.03)),
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_pure_colours_have_their_published_numbers(color, lab):
    light, a, b = to_cielab(color)
    found = (light / 65535 * 100, a / 65535 * 255 - 128, b / 65535 * 255 - 128)
    assert np.allclose(found, lab, atol=0.05)
