"""A page says what was found and what it is not, and names nobody unless asked."""

from dataclasses import replace

import numpy as np
import pytest
from clinic_stacks import WHEN, Stack, blobs, result_of, write_images

from delineate.clinic import Approval, draw_summary, measure
from delineate.clinic.summary import NOTICE, _key_slices, _letter


@pytest.fixture
def result(tmp_path):
    stack = Stack(columns=14, rows=10, count=6)
    return result_of(write_images(tmp_path / "series", stack), stack, blobs(stack.geometry, 2))


def words(page):
    return [text.get_text() for text in page.texts]


def test_a_page_lists_every_structure_with_its_numbers_and_the_model(result):
    said = words(draw_summary(result, measure(result)))
    text = "\n".join(said)
    for finding in result.findings:
        assert finding.name in said
    assert "SCT:64033007 Kidney, left" in said
    assert "not found" in said  # the spleen
    assert f"{measure(result).of(result.findings[0]).volume_ml:.4g}" in said
    assert "Made by phantom model 7 (automatic), model sha256 abababababababab" in said
    assert NOTICE in said
    assert "not reviewed" in text
    signed = replace(result, approval=Approval("Doe^Jane", WHEN))
    assert "approved by Doe^Jane" in "\n".join(words(draw_summary(signed, measure(result))))


def test_a_page_names_nobody_unless_asked_and_has_no_letters_that_its_font_lacks(result):
    assert "Müller" not in "\n".join(words(draw_summary(result, measure(result))))
    assert "P-1" not in "\n".join(words(draw_summary(result, measure(result))))
    named = words(draw_summary(result, measure(result), names_patient=True))
    assert "Patient Müller Jürgen, P-1; study of 20260101" in named
    result.series.header.PatientName = "山田^太郎"
    assert "Patient ?? ??, P-1; study of 20260101" in words(
        draw_summary(result, measure(result), names_patient=True)
    )


def test_a_dollar_is_a_dollar(tmp_path):
    from delineate.clinic import make_result, open_series
    from delineate.clinic.summary import as_bytes
    from delineate.space import Label, LabelMap, LabelSchema

    stack = Stack()
    schema = LabelSchema(labels=(Label(value=1, name="a $/frac{ b", code="99A:1:A thing"),))
    labels = LabelMap(np.ones(stack.geometry.shape, np.uint8), stack.geometry, schema)
    series = open_series(write_images(tmp_path / "series", stack))
    from clinic_stacks import MAKER

    made = make_result(labels, series, MAKER, when=WHEN)
    page = draw_summary(made, measure(made))
    assert "a $/frac{ b" in words(page)
    assert as_bytes(page, "png", WHEN).startswith(b"\x89PNG")


def test_key_slices_show_most_of_the_largest_structures_each_slice_once(tmp_path):
    stack = Stack(columns=14, rows=10, count=9)
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[2:8, 2:6, 2:5] = 1
    values[3:8, 6:9, 3], values[12, 8, 3] = 1, 2
    values[1, 1, 7] = 3
    result = result_of(write_images(tmp_path / "series", stack), stack, values)
    assert _key_slices(result) == [(3, "slice 4 of 9: liver, kidney_left"), (7, "slice 8 of 9: liver tumour")]
    empty = replace(result, array=np.zeros_like(result.array))
    assert _key_slices(empty) == [(4, "slice 5 of 9: nothing was found")]
    page = draw_summary(empty, measure(empty))
    assert len(page.axes) == 1


def test_pictures_show_the_slice_as_it_lies_with_contours_along_pixels(tmp_path):
    stack = Stack(columns=14, rows=10, count=3, spacing=(0.5, 2.0))
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[2:8, 3:6, 1] = 1
    result = result_of(write_images(tmp_path / "series", stack), stack, values)
    (axes,) = draw_summary(result, measure(result)).axes
    assert axes.images[0].get_extent() == [-0.25, 6.75, 19.0, -1.0]
    x, y = axes.lines[0].get_data()
    assert (x.min(), x.max(), y.min(), y.max()) == (0.75, 3.75, 5.0, 11.0)
    assert [text.get_text() for text in axes.texts] == ["R", "A"]


def test_sides_are_named_as_the_patient_has_them():
    ways = np.concatenate([np.eye(3), -np.eye(3)]) + 0.1
    assert [_letter(way) for way in ways] == ["L", "P", "S", "R", "A", "I"]


def test_many_structures_end_in_a_word_about_the_rest(tmp_path):
    from clinic_stacks import MAKER

    from delineate.clinic import make_result, open_series
    from delineate.space import Label, LabelMap, LabelSchema

    stack = Stack(columns=30, rows=4, count=3)
    values = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None], stack.geometry.shape).copy()
    schema = LabelSchema(
        labels=tuple(Label(value=n, name=f"thing {n}", code=f"99A:{n}") for n in range(1, 30))
    )
    series = open_series(write_images(tmp_path / "series", stack, Modality="MR"))
    made = make_result(LabelMap(values, stack.geometry, schema), series, MAKER, when=WHEN)
    page = draw_summary(made, measure(made))
    assert "and 7 more in delivery.json" in words(page)
    assert len(page.axes) == 1  # all are seen in one slice
