import numpy as np
import pytest

from delineate.clinic.privacy.heads import Faces, take_face


@pytest.fixture
def series(image, save, tmp_path):
    """Writes a series of small slices of some part of the body."""

    def write(**fields):
        paths = []
        for k in range(6):
            content = image(
                SOPInstanceUID=f"1.2.3.{k + 1}", ImagePositionPatient=[0, 0, 30 * k], PixelSpacing=[4, 4],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **fields,
            )  # fmt: skip
            paths.append(save(content, tmp_path / f"{k}.dcm"))
        return paths, content

    return write


def test_other_parts_and_other_machines_are_left_alone(series):
    for fields in ({"BodyPartExamined": "CHEST"}, {"Modality": "US"}):
        faces = Faces()
        paths, first = series(**fields)
        faces.look("1.2.3", paths, first)
        assert (faces.masks, faces.refused, faces.notes) == ({}, {}, [])


def test_a_series_that_says_head_and_shows_none_is_refused(series):
    faces = Faces()
    paths, first = series(BodyPartExamined="HEAD", Modality="MR")
    faces.look("1.2.3", paths, first)
    assert set(faces.refused.values()) == {
        "its face cannot be taken: no head is seen in a series that says to show one"
    }


def test_a_series_of_no_named_part_that_shows_no_head_is_noted(series):
    faces = Faces()
    paths, first = series(Modality="MR")
    faces.look("1.2.3", paths, first)
    assert faces.notes == ["a series of 6 MR images shows no head"]
    assert not faces.refused


def test_a_series_that_cannot_be_stacked_is_refused_without_naming_files(series, tmp_path):
    faces = Faces()
    paths, first = series(Modality="MR")
    faces.look("1.2.3", [*paths[:3], *paths[4:]], first)
    assert all("missing" in reason and str(tmp_path) not in reason for reason in faces.refused.values())
    assert len(faces.refused) == 5


def test_taking_a_face_changes_its_pixels_alone(image):
    content = image()
    content.set_original_encoding(False, True)
    before = content.pixel_array.copy()
    mask = np.zeros((8, 8), bool)
    mask[2:4, 5:] = True
    assert take_face(content, {1: mask})
    assert np.array_equal(content.pixel_array[~mask], before[~mask])
    assert (content.pixel_array[mask] == before.min()).all()
    assert not take_face(content, {1: np.zeros((8, 8), bool)})
