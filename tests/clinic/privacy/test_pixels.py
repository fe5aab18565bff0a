import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from delineate.clinic.privacy import pixels


def lettered(colours: int = 1) -> np.ndarray:
    picture = Image.new("L", (120, 60), 10)
    ImageDraw.Draw(picture).text((5, 5), "QUILLFEATHER", fill=250)
    grey = np.asarray(picture)
    return grey if colours == 1 else np.stack([grey] * colours, axis=-1)


def with_pixels(content: Dataset, values: np.ndarray) -> Dataset:
    content.Rows, content.Columns = values.shape[:2]
    content.BitsAllocated = content.BitsStored = 8 * values.dtype.itemsize
    content.HighBit = content.BitsStored - 1
    content.PixelData = values.tobytes()
    content.set_original_encoding(False, True)
    if values.ndim == 3:
        content.SamplesPerPixel, content.PhotometricInterpretation, content.PlanarConfiguration = 3, "RGB", 0
    return content


@pytest.mark.parametrize(
    ("fields", "looked_at"),
    [
        ({"Modality": "US"}, True),
        ({"Modality": "CT"}, False),
        ({"Modality": "CT", "BurnedInAnnotation": "YES"}, True),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, True),
        ({"Modality": "CR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"}, False),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, True),
        ({"Modality": "CT", "SamplesPerPixel": 3}, True),
        ({"Modality": "SEG", "BitsAllocated": 1}, False),
    ],
)
def test_kinds_of_image_in_which_people_write_are_looked_at(image, fields, looked_at):
    assert pixels.may_hold_text(image(**fields)) is looked_at


def test_an_object_without_pixels_holds_no_text(image):
    content = image(Modality="US")
    del content.PixelData
    assert not pixels.may_hold_text(content)


@pytest.mark.parametrize("colours", [1, 3])
def test_text_is_blanked_and_the_rest_stays(image, colours):
    content = with_pixels(image(Modality="US"), lettered(colours))
    before = content.pixel_array.copy()
    assert pixels.text_areas(content)
    assert pixels.blanked(content) is True
    assert content.pixel_array.max() <= 10
    assert np.array_equal(content.pixel_array[30:], before[30:])
    assert content.ImageType[0] == "DERIVED"
    assert pixels.blanked(content) is None


def test_outside_the_regions_of_ultrasound_all_is_blanked(image):
    content = with_pixels(image(Modality="US"), np.full((60, 120), 99, np.uint8))
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 20, 10
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 79, 49
    content.SequenceOfUltrasoundRegions = Sequence([region])
    assert pixels.blanked(content) is True
    assert (content.pixel_array[10:50, 20:80] == 99).all()
    assert content.pixel_array.sum() == 99 * 40 * 60
    del region.RegionLocationMinX0
    assert pixels.outside_regions(content) is None


def test_in_a_negative_black_is_the_highest_value(image):
    content = with_pixels(image(Modality="OT", PhotometricInterpretation="MONOCHROME1"), 255 - lettered())
    assert pixels.blanked(content) is True
    assert content.pixel_array.min() >= 245


def test_overlays_with_text_are_named(image):
    content = image()
    bits = np.packbits((lettered() > 128).ravel(), bitorder="little").tobytes()
    for group, data in ((0x6000, bits), (0x6002, bytes(len(bits)))):
        content.add_new((group, 0x0010), "US", 60)
        content.add_new((group, 0x0011), "US", 120)
        content.add_new((group, 0x3000), "OW", data)
    assert pixels.overlay_text(content) == (0x6000,)
