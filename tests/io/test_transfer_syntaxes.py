"""Every file of pydicom's collection is read, or refused with a reason: a table of what becomes of each."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import read_film, read_volume
from delineate.io.dicom import planes_of

NO_PLACE = "do not say where in the patient they lie"
SEG = "is a segmentation"
READ = {  # file -> channels and voxels
    "693_J2KR": (1, 512, 512, 1), "693_UNCR": (1, 512, 512, 1), "HTJ2K_08_RGB": (3, 640, 480, 1),
    "JLSL_16_15_1_1F": (1, 128, 128, 1), "JLSL_RGB_ILV1": (3, 256, 256, 1), "JLSN_RGB_ILV0": (3, 256, 256, 1),
    "JPEG2000_UNC": (1, 256, 1024, 1), "MR-SIEMENS-DICOM-WithOverlays": (1, 484, 484, 1),
    "MR2_J2KR": (1, 1024, 1024, 1), "MR2_UNCR": (1, 1024, 1024, 1), "RG1_J2KI": (1, 1841, 1955, 1),
    "RG3_J2KR": (1, 1760, 1760, 1), "SC_rgb_16bit": (3, 100, 100, 1),
    "SC_rgb_dcmtk_ebcyn1_dcmd": (3, 100, 100, 1), "SC_rgb_dcmtk_ebcynp_dcmd": (3, 100, 100, 1),
    "SC_rgb_dcmtk_ebcys4_dcmd": (3, 100, 100, 1), "SC_rgb_expb_16bit": (3, 100, 100, 1),
    "SC_ybr_full_uncompressed": (3, 100, 100, 1), "US1_J2KR": (3, 640, 480, 1), "US1_UNCR": (3, 640, 480, 1),
    "color-pl": (3, 256, 120, 1), "eCT_Supplemental": (1, 512, 512, 2), "gdcm-US-ALOKA-16": (3, 640, 480, 1),
    "parametric_map_double_float": (1, 128, 128, 1), "vlut_04": (1, 512, 512, 1),
}  # fmt: skip
REFUSED = {  # file -> why
    "OBXXXX1A_2frame": NO_PLACE, "OBXXXX1A_expb_2frame": NO_PLACE, "OBXXXX1A_rle_2frame": NO_PLACE,
    "SC_rgb_2frame": NO_PLACE, "SC_rgb_32bit_2frame": NO_PLACE, "SC_rgb_expb_2frame": NO_PLACE,
    "SC_rgb_expb_32bit_2frame": NO_PLACE,
    "emri_small_RLE": NO_PLACE, "emri_small_jpeg_2k_lossless": NO_PLACE,
    "emri_small_jpeg_ls_lossless": NO_PLACE,
    "liver": SEG, "liver_expb": SEG, "liver_nonbyte_aligned": SEG, "liver_nonbyte_aligned_j2k": SEG,
    "liver_rle": SEG,
}  # fmt: skip

FILMS = [name for name in REFUSED if name.endswith("2frame")]
LOSSLESS = (  # the same pixels in several encodings: RLE, JPEG-LS, JPEG 2000, big and little endian, plain
    ("emri_small_RLE", "emri_small_jpeg_2k_lossless", "emri_small_jpeg_ls_lossless"),
    ("MR2_J2KR", "MR2_UNCR"), ("US1_J2KR", "US1_UNCR"), ("693_J2KR", "693_UNCR"),
    ("OBXXXX1A_2frame", "OBXXXX1A_expb_2frame", "OBXXXX1A_rle_2frame"),
    ("SC_rgb_2frame", "SC_rgb_expb_2frame"), ("SC_rgb_32bit_2frame", "SC_rgb_expb_32bit_2frame"),
    ("SC_rgb_16bit", "SC_rgb_expb_16bit"), ("liver", "liver_expb"),
)  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_is_read(shared_data, name):
    volume = read_volume(shared_data / "dicom_pydicom" / f"{name}.dcm")
    assert volume.array.shape == READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_scan_is_refused_with_its_reason(shared_data, name):
    with pytest.raises(DataError, match=REFUSED[name]):
        read_volume(shared_data / "dicom_pydicom" / f"{name}.dcm")


def test_the_table_names_every_file(shared_data):
    there = {path.stem for path in (shared_data / "dicom_pydicom").glob("*.dcm")}
    assert there == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", FILMS)
def test_what_is_a_film_is_read_as_one(shared_data, name):
    film = read_film(shared_data / "dicom_pydicom" / f"{name}.dcm")
    assert [picture.array.shape[0] for picture in film] == [3, 3]


@pytest.mark.parametrize("names", LOSSLESS, ids=lambda names: names[0])
def test_an_encoding_without_loss_gives_the_pixels_of_every_other(shared_data, names):
    """Of the whole file, also where no volume can be made of it."""
    found = [
        planes_of(shared_data / "dicom_pydicom" / f"{name}.dcm", (0, 1)[: count(names)]) for name in names
    ]
    first, *others = (np.stack(list(planes)) for planes in found)
    assert first.any()
    assert all(np.array_equal(first, other) for other in others)


def count(names):
    """Frames to look at."""
    return 1 if names[0].startswith(("MR2", "US1", "693", "SC_rgb_16")) else 2
