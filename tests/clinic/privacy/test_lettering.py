import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from delineate.clinic.privacy.lettering import Area, find_text

FONTS = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf", "DejaVuSans-Bold.ttf")
WORDS = ("DOE^JANE", "Smith, John", "ID 4711-0815", "1961-03-21", "St. Elsewhere Hospital")


def ultrasound(rng: np.random.Generator, shape: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Speckle in a fan on black."""
    waves = [ndimage.gaussian_filter(rng.normal(size=shape), 1.2) for _ in range(2)]
    speckle = np.hypot(*waves)
    y, x = np.mgrid[: shape[0], : shape[1]]
    fan = (np.abs(x - shape[1] / 2) < 0.7 * y - 20) & (y < 0.9 * shape[0])
    return (200 * fan * speckle / speckle.max()).astype(np.uint8)


def written(picture: np.ndarray, text: str, font: str, size: int, place: tuple[int, int], grey: int):
    """The picture with text, and where its strokes are."""
    shown, alone = Image.fromarray(picture), Image.new("L", picture.shape[::-1])
    letters = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{font}", size)
    for image, colour in ((shown, grey), (alone, 255)):
        ImageDraw.Draw(image).text(place, text, fill=colour, font=letters)
    return np.asarray(shown), np.asarray(alone) > 80


def covered(found: tuple[Area, ...], strokes: np.ndarray) -> float:
    """The share of strokes within the areas."""
    mask = np.zeros(strokes.shape, bool)
    for area in found:
        mask[area.slices] = True
    return float((mask & strokes).sum() / strokes.sum())


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("size", [9, 12, 16, 24, 36])
@pytest.mark.parametrize("grey", [255, 160, 100])
def test_text_beside_the_picture_is_found(font, size, grey):
    rng = np.random.default_rng(size + grey)
    word = WORDS[size % len(WORDS)][: 320 // size]
    picture, strokes = written(ultrasound(rng), word, font, size, (4, 3), grey)
    assert covered(find_text(picture[None]), strokes) > 0.95


def test_bright_text_on_tissue_is_found_as_often_as_the_page_says():
    shares = []
    for number in range(12):
        rng = np.random.default_rng(number)
        font, size = FONTS[number % 4], (12, 16, 24)[number % 3]
        picture, strokes = written(ultrasound(rng), WORDS[number % 5][:9], font, size, (110, 130), 255)
        shares.append(covered(find_text(picture[None]), strokes))
    assert np.mean(np.array(shares) > 0.95) >= 0.9


def test_dark_text_on_bright_ground_is_found():
    picture, strokes = written(np.full((80, 200), 220, np.uint8), "Smith, John", FONTS[0], 14, (10, 10), 20)
    assert covered(find_text(picture[None]), strokes) > 0.95


def test_text_that_stands_in_all_frames_of_a_film_is_found():
    rng = np.random.default_rng(1)
    frames = [written(ultrasound(rng), "DOE^JANE", FONTS[0], 14, (120, 120), 255) for _ in range(9)]
    film, strokes = np.stack([picture for picture, _ in frames]), frames[0][1]
    assert covered(find_text(film), strokes) > 0.95


def test_a_picture_without_text_has_none():
    y, x = np.mgrid[:120, :120]
    ball = np.where(np.hypot(x - 60, y - 60) < 40, 800, 0) + np.random.default_rng(0).normal(
        0, 20, (120, 120)
    )
    assert find_text(ball[None]) == ()
    assert find_text(np.zeros((1, 50, 50))) == ()
    assert find_text(np.zeros((2, 1, 1), np.uint8)) == ()


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_areas_lie_in_the_picture_and_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 90, 2))
    noise = rng.integers(0, 255, (int(rng.integers(1, 4)), *shape), dtype=np.uint8)
    found = find_text(noise * (rng.random() < 0.5) + (noise > 200).astype(np.uint8))
    covers = np.zeros(shape, int)
    for area in found:
        assert 0 <= area.top < area.bottom <= shape[0]
        assert 0 <= area.left < area.right <= shape[1]
        covers[area.slices] += 1
    assert covers.max(initial=0) <= 1
