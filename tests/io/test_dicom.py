from itertools import permutations, product

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.pixels.decoders.base import Decoder

from delineate.errors import DataError, Error, MissingPackage
from delineate.io import dicom as reader
from delineate.io import nifti
from delineate.space import Geometry

PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4)
TURNS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def values(shape, kind=np.int16):
    return np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape).astype(kind)


def oblique(shape):
    """A grid with a thoroughly oblique affine."""
    q, _ = np.linalg.qr(np.array([[9, 1, 2], [-1, 8, 3], [0.5, -2, 7]]))
    affine = np.eye(4)
    affine[:3, :3] = q * [0.7, 1.1, 2.5]
    affine[:3, 3] = [-31.5, 12.25, 480]
    return Geometry(shape, affine)


def by_simpleitk(folder):
    files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    return SimpleITK.ReadImage(files)


def world_of(value, volume):
    (index,) = np.argwhere(volume.array[0] == value)
    return volume.geometry.to_world(index.astype(float))


# Laws


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_in_all_48_orientations_every_voxel_is_where_simpleitk_and_nibabel_see_it(
    tmp_path, dicom, order, signs
):
    shape = (5, 4, 3)
    start = oblique(shape)
    turned = start.affine.copy()
    turned[:3, :3] = turned[:3, order] * signs
    grid = Geometry(shape, turned)
    array = values(shape)
    dicom.save_series(tmp_path / "series", array, grid, shuffle=np.random.default_rng(7))
    volume = reader.read(tmp_path / "series")
    other = by_simpleitk(tmp_path / "series")
    nifti.write(tmp_path / "a.nii.gz", volume.array, volume.geometry)
    image = nib.load(tmp_path / "a.nii.gz")
    for index in ((0, 0, 0), (4, 1, 2), (2, 3, 0)):
        expected = grid.to_world(np.array(index, float))
        value = array[index]
        assert np.allclose(world_of(value, volume), expected, atol=1e-4)
        (k, j, i) = np.argwhere(SimpleITK.GetArrayFromImage(other) == value)[0].tolist()
        point = np.array(other.TransformIndexToPhysicalPoint((i, j, k))) * [-1, -1, 1]
        assert np.allclose(point, expected, atol=1e-4)
        (place,) = np.argwhere(np.asarray(image.dataobj) == value)
        assert np.allclose(nib.affines.apply_affine(image.affine, place), expected, atol=1e-4)


def test_order_comes_from_places_never_from_names_or_instance_numbers(tmp_path, dicom):
    array, grid = values((4, 3, 6)), oblique((4, 3, 6))
    plain = reader.read(dicom.save_series(tmp_path / "a", array, grid))
    for n, path in enumerate(sorted((tmp_path / "a").iterdir())):
        item = pydicom.dcmread(path)
        item.InstanceNumber = (7 * n) % 6
        dicom.save(item, tmp_path / "b" / f"{(5 * n) % 6}.dcm")
    mixed = reader.read(tmp_path / "b")
    assert np.array_equal(plain.array, mixed.array)
    assert plain.source.instance_uids == mixed.source.instance_uids


# Construction


def test_a_series_becomes_a_volume_that_knows_its_slices(tmp_path, dicom):
    array = values((4, 3, 5))
    folder = dicom.save_series(tmp_path / "a", array, Geometry((4, 3, 5), np.diag([-1, -2, 3, 1.0])))
    volume = reader.read(folder)
    assert np.array_equal(volume.array[0], array)
    assert volume.geometry.orientation == "LPS"
    assert volume.channels == ("image",)
    assert len(volume.source.files) == 5
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in volume.source.files]
    assert list(volume.source.instance_uids) == uids
    assert volume.source.frame_numbers == (1,) * 5
    assert volume.source.notes == ()
    assert reader.geometry(folder).same_place(volume.geometry, tolerance_mm=0)


def test_rescaling_gives_the_quantity_and_may_differ_between_slices(tmp_path, dicom):
    for n in range(3):
        item = dicom.slice_at(PIXELS, (0, 0, 2 * n), RescaleSlope="1", RescaleIntercept="-1024")
        dicom.save(item, tmp_path / "ct" / f"{n}.dcm")
        item = dicom.slice_at(PIXELS, (0, 0, 2 * n), RescaleSlope=str(n + 0.5), RescaleIntercept="0")
        dicom.save(item, tmp_path / "pet" / f"{n}.dcm")
    ct, pet = reader.read(tmp_path / "ct"), reader.read(tmp_path / "pet")
    assert ct.array.dtype == np.int16
    assert np.array_equal(ct.array[0, :, :, 1].T, PIXELS - 1024)
    assert pet.array.dtype == np.float32
    assert np.allclose(pet.array[0, :, :, 2].T, PIXELS * 2.5)


def test_slices_of_different_number_types_are_all_kept(tmp_path, dicom):
    dicom.save(dicom.slice_at(PIXELS, (0, 0, 0)), tmp_path / "a.dcm")
    dicom.save(dicom.slice_at(PIXELS.astype(np.uint16) + 60000, (0, 0, 1)), tmp_path / "b.dcm")
    volume = reader.read(tmp_path)
    assert volume.array.dtype == np.int32
    assert volume.array[0, 3, 2].tolist() == [11, 60011]


def test_an_enhanced_object_is_sorted_and_rescaled_frame_by_frame(tmp_path, dicom):
    pixels = np.stack([PIXELS, PIXELS + 100, PIXELS + 200])
    item = dicom.enhanced(pixels, [(0, 0, 8), (0, 0, 0), (0, 0, 4)], spacing=(1, 2))
    volume = reader.read(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.geometry.spacing == (2, 1, 4)
    assert volume.array[0, 0, 0].tolist() == [200 - 1000, 400 - 1000, -1000]
    assert volume.source.frame_numbers == (2, 3, 1)
    assert set(volume.source.instance_uids) == {item.SOPInstanceUID}
    assert reader.read(tmp_path).geometry.same_place(volume.geometry)


def test_an_enhanced_object_of_several_volumes_can_be_split(tmp_path, dicom):
    pixels = np.stack([PIXELS + 100 * n for n in range(6)])
    places = [(0, 0, 4 * (n // 2)) for n in range(6)]
    dicom.save(dicom.enhanced(pixels, places, marks=[2, 1, 2, 1, 2, 1]), tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"2 volumes at the same 3 places .6 images, told apart by Tem"):
        reader.read(tmp_path / "a.dcm")
    (series,) = reader.find_series(tmp_path)
    first, second = (reader.read_series(part) for part in reader.split_series(series))
    assert first.array[0, 0, 0].tolist() == [200 - 1000, 600 - 1000, 1000 - 1000]
    assert second.source.frame_numbers == (1, 3, 5)


def test_colour_slices_with_a_place_are_channels_of_a_volume(tmp_path, dicom):
    colour = np.random.default_rng(0).integers(0, 255, (3, 4, 3)).astype(np.uint8)
    for n in range(2):
        item = dicom.plain(colour, ImagePositionPatient=[0, 0, n], PixelSpacing=[1, 1])
        item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dicom.save(item, tmp_path / f"{n}.dcm")
    volume = reader.read(tmp_path)
    assert volume.channels == ("red", "green", "blue")
    assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), colour)


SCOUT = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def test_ultrasound_is_a_picture_in_colour(tmp_path, dicom):
    colour = np.random.default_rng(0).integers(0, 255, (3, 4, 3)).astype(np.uint8)
    item = dicom.plain(colour, SOPClassUID=ULTRASOUND, Modality="US")
    volume = reader.read(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.channels == ("red", "green", "blue")
    assert volume.geometry.same_place(Geometry.of_image((4, 3)))
    assert volume.source.notes == (
        "no place in the patient: read as a picture",
        "nothing says how large a pixel is: taken as 1 mm",
    )


def test_a_radiograph_is_a_picture_with_its_pixel_size(tmp_path, dicom):
    item = dicom.plain(PIXELS, SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1", ImagerPixelSpacing=[0.2, 0.1])
    item.PhotometricInterpretation = "MONOCHROME1"
    volume = reader.read(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.geometry.spacing == (0.1, 0.2, 1)
    assert "as large as at the detector (ImagerPixelSpacing)" in volume.source.notes[1]
    assert "low values are bright in this image (MONOCHROME1)" in volume.source.notes[2]


def test_a_palette_is_looked_up(tmp_path, dicom):
    item = dicom.plain(np.array([[0, 1], [2, 1]], np.uint8), SOPClassUID=ULTRASOUND)
    item.PhotometricInterpretation = "PALETTE COLOR"
    for name, content in (("Red", b"\1\4\7\0"), ("Green", b"\2\5\10\0"), ("Blue", b"\3\6\11\0")):
        setattr(item, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 8])
        item[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(item, f"{name}PaletteColorLookupTableData", content)
        item[f"{name}PaletteColorLookupTableData"].VR = "OW"
    volume = reader.read(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.array[:, 1, 0, 0].tolist() == [4, 5, 6]


def test_a_modality_table_is_looked_up(tmp_path, dicom):
    item = dicom.slice_at(np.array([[0, 1], [2, 1]], np.uint16), (0, 0, 0))
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [3, 0, 16])
    table.add_new("LUTData", "US", [500, 600, 700])
    table.ModalityLUTType = "HU"
    item.ModalityLUTSequence = [table]
    volume = reader.read(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.array[0, :, :, 0].T.tolist() == [[500, 600], [700, 600]]


@pytest.mark.parametrize("implicit", [True, False])
def test_old_files_that_do_not_name_their_encoding_are_read(tmp_path, dicom, implicit):
    item = dicom.slice_at(PIXELS, (0, 0, 0))
    del item.file_meta
    item.save_as(tmp_path / "a", implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert (tmp_path / "a").read_bytes()[128:132] != b"DICM"
    assert np.array_equal(reader.read(tmp_path / "a").array[0, :, :, 0].T, PIXELS)


def test_empty_uids_are_a_note(tmp_path, dicom):
    for n in range(3):
        item = dicom.slice_at(PIXELS, (0, 0, n), SOPInstanceUID="", SeriesInstanceUID="")
        dicom.save(item, tmp_path / f"{n}.dcm")
    volume = reader.read(tmp_path)
    assert volume.source.instance_uids == ("", "", "")
    assert "3 of 3 slices have no SOPInstanceUID" in volume.source.notes[0]
    assert "no UID" in repr(reader.find_series(tmp_path)[0])


def test_what_is_no_scan_is_left_out_of_a_folder_and_a_note_says_so(tmp_path, dicom):
    folder = dicom.save_series(tmp_path, values((4, 3, 3)), Geometry((4, 3, 3), np.diag([-1, -1, 2, 1.0])))
    scout = dicom.slice_at(
        np.zeros((9, 9), np.int16), (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    dicom.save(scout, tmp_path / "scout.dcm")
    dicom.save(dicom.plain(PIXELS, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"), tmp_path / "seg.dcm")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / ".hidden.dcm").write_bytes(b"x" * 200)
    volume = reader.read(folder)
    assert volume.geometry.shape == (4, 3, 3)
    assert volume.source.notes == ("left out: 1 x a localiser image, 1 x a segmentation (SEG)",)


def test_a_series_of_scouts_only_is_left_out_beside_a_scan_and_read_alone(tmp_path, dicom):
    scout = dicom.slice_at(
        PIXELS, (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID="9"
    )
    dicom.save(scout, tmp_path / "scouts" / "scout.dcm")
    assert reader.read(tmp_path).geometry.shape == (4, 3, 1)
    dicom.save(dicom.slice_at(PIXELS, (0, 0, 0)), tmp_path / "a.dcm")
    (series,) = reader.find_series(tmp_path)
    assert series.uid == "1.2.3"
    assert series.notes == ("left out: 1 x a localiser image",)


def test_series_are_found_below_a_folder_the_largest_first(tmp_path, dicom):
    for uid, count in (("1.1", 2), ("1.2", 4), ("1.3", 3)):
        for n in range(count):
            item = dicom.slice_at(PIXELS, (0, 0, n), SeriesInstanceUID=uid, Modality="MR")
            dicom.save(item, tmp_path / uid / f"{n}.dcm")
    found = reader.find_series(tmp_path)
    assert [series.uid for series in found] == ["1.2", "1.3", "1.1"]
    assert repr(found[0]) == "Series(MR, 4 images of 4 x 3, 1.2)"
    assert len(found[0].files) == 4
    assert reader.read_series(found[1]).geometry.shape == (4, 3, 3)


# Refusals


def refused(path, message):
    with pytest.raises(DataError, match=message) as caught:
        reader.read(path)
    assert "\n  " in str(caught.value)
    assert "SECRET" not in str(caught.value).upper()
    return str(caught.value)


def test_mixed_series_are_listed(tmp_path, dicom):
    for uid, count in (("1.1", 2), ("1.2", 3)):
        for n in range(count):
            dicom.save(dicom.slice_at(PIXELS, (0, 0, n), SeriesInstanceUID=uid), tmp_path / f"{uid}-{n}.dcm")
    message = refused(tmp_path, "2 series are mixed in this folder; expected one")
    assert "[0] Series(CT, 3 images of 4 x 3, 1.2)\n  [1] Series(CT, 2 images of 4 x 3, 1.1)" in message
    assert "delineate.io.find_series(folder)[0]" in message


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (
            [(0, 0, 0), (0, 0, 2), (0, 0, 6), (0, 0, 8)],
            "1 of 5 slices are missing, the first between 1.dcm",
        ),
        ([(0, 0, 0), (0, 0, 2), (0, 0, 5), (0, 0, 7)], "unevenly spaced: 2 to 3 mm apart"),
        (
            [(0, 0, 0), (0, 1, 2), (0, 2, 4), (0, 3, 6)],
            r"gantry was tilted: slices shift by 26\.6 degrees",
        ),
        (
            [(0, 0, 0), (0, 0, 2), (0, 0, 2), (0, 0, 4)],
            "4 images at 3 places, and nothing tells the",
        ),
    ],
)
def test_series_that_are_no_even_stack_are_refused_by_name(tmp_path, dicom, places, message):
    for n, place in enumerate(places):
        dicom.save(dicom.slice_at(PIXELS, place), tmp_path / f"{n}.dcm")
    refused(tmp_path, message)
    with pytest.raises(DataError, match=message):
        reader.geometry(tmp_path)


def test_a_folder_without_images_says_what_it_holds(tmp_path, dicom):
    (tmp_path / "a.txt").write_text("hello")
    refused(tmp_path, r"no DICOM images here\.")
    dicom.save(dicom.plain(PIXELS, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3"), tmp_path / "rt.dcm")
    refused(tmp_path, r"no DICOM images here; it holds 1 x a structure set \(RTSTRUCT\)")
    refused(tmp_path / "rt.dcm", "(?s)is a structure set .RTSTRUCT., not a scan.*Name an image")


def test_slices_without_a_place_are_refused(tmp_path, dicom):
    refused(dicom.save(dicom.plain(PIXELS), tmp_path / "a.dcm"), "1 of 1 images do not say where in")


def test_several_pictures_are_no_volume(tmp_path, dicom):
    film = dicom.plain(np.zeros((5, 3, 4), np.uint8), SOPClassUID=ULTRASOUND, Modality="US")
    refused(
        dicom.save(film, tmp_path / "a.dcm"), r"5 images that do not say where .*\(US: views, or a film\)"
    )


def test_grey_and_colour_in_one_series_are_refused(tmp_path, dicom):
    dicom.save(dicom.slice_at(PIXELS.astype(np.uint8), (0, 0, 0)), tmp_path / "a.dcm")
    item = dicom.plain(np.zeros((3, 4, 3), np.uint8), ImagePositionPatient=[0, 0, 1], PixelSpacing=[1, 1])
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dicom.save(item, tmp_path / "b.dcm")
    refused(tmp_path, "holds a 4 x 3 colour image, the images before it are 4 x 3 grey images")


def test_a_rescale_slope_of_zero_is_refused(tmp_path, dicom):
    path = dicom.save(
        dicom.slice_at(PIXELS, (0, 0, 0), RescaleSlope="0", RescaleIntercept="0"), tmp_path / "a.dcm"
    )
    refused(path, r"a\.dcm: a rescale slope is a finite number other than 0")


def test_a_film_is_refused_by_its_encoding(tmp_path, dicom):
    item = dicom.slice_at(PIXELS, (0, 0, 0))
    path = dicom.save(item, tmp_path / "a.dcm")
    content = path.read_bytes()
    mpeg = b"1.2.840.10008.1.2.4.100"
    at = content.index(b"1.2.840.10008.1.2.1\0")
    head = bytearray(content[:at] + mpeg + b"\0" + content[at + 20 :])
    head[at - 2 : at] = (24).to_bytes(2, "little")
    length = int.from_bytes(head[140:144], "little") + 4
    head[140:144] = length.to_bytes(4, "little")
    path.write_bytes(bytes(head))
    refused(path, "is encoded as MPEG2 Main Profile.*no still image")


def test_a_missing_codec_says_what_to_install(tmp_path, dicom, monkeypatch):
    path = dicom.save(dicom.slice_at(PIXELS, (0, 0, 0)), tmp_path / "a.dcm")
    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    with pytest.raises(MissingPackage, match=r"Explicit VR Little Endian.*pip install 'delineate\[dicom\]'"):
        reader.read(path)


def test_pixels_that_are_cut_short_are_refused(tmp_path, dicom):
    path = dicom.save(dicom.slice_at(PIXELS, (0, 0, 0)), tmp_path / "a.dcm")
    content = path.read_bytes()
    for length in range(140, len(content), 23):
        path.write_bytes(content[:length])
        with pytest.raises(Error):
            reader.read(path)


def test_a_slice_whose_header_is_cut_is_never_left_out_silently(tmp_path, dicom):
    folder = dicom.save_series(tmp_path, values((4, 3, 3)), Geometry((4, 3, 3), np.diag([-1, -1, 2, 1.0])))
    last = folder / "002.dcm"
    content = last.read_bytes()
    for length in range(150, len(content) - PIXELS.nbytes, 41):
        last.write_bytes(content[:length])
        with pytest.raises(DataError):
            reader.read(folder)


# Reference


def test_a_mosaic_is_refused(shared_data):
    refused(shared_data / "odd_nibabel" / "tests" / "data", "0.dcm is a mosaic: the slices of a volume")


def test_the_tilted_series_is_refused(shared_data):
    refused(shared_data / "dicom_ct_tilt", "the gantry was tilted: slices shift by")


def test_a_series_without_uids_lies_on_the_grid_of_its_labels(shared_data):
    volume = reader.read(shared_data / "totalseg" / "example_ct_dicom")
    grid = nifti.geometry(shared_data / "totalseg" / "example_seg_dicom.nii.gz")
    assert volume.geometry.reoriented(grid.orientation).same_place(grid)
    assert volume.source.instance_uids == ("",) * 20
    assert "20 of 20 slices have no SOPInstanceUID" in volume.source.notes[0]
    labels = nifti.read(shared_data / "totalseg" / "example_seg_dicom.nii.gz")
    turned = volume.reoriented(grid.orientation)
    assert turned.array[0][labels.array[0] == 5].mean() > 40  # the liver, in Hounsfield units


def test_a_series_of_three_time_points_is_refused_and_can_be_split(shared_data):
    folder = shared_data / "dicom_mr_seg_breast" / "UCSF-BR-06" / "image_dce_3dfgre_orig"
    refused(folder, "holds 3 volumes at the same 60 places")
    (series,) = reader.find_series(folder)
    parts = reader.split_series(series)
    assert [reader.layout(part).geometry.shape for part in parts] == [(256, 256, 60)] * 3
    assert reader.layout(parts[0]).geometry.same_place(reader.layout(parts[2]).geometry)


@pytest.mark.parametrize("name", ["orientation", "sphere"])
def test_dicom_and_nifti_of_the_digital_phantoms_hold_the_same_voxels(shared_data, name):
    folder = shared_data / "ibsi_digital_phantoms" / "ibsi_2_digital_phantom"
    series = reader.read(folder / "dicom" / name)
    image = nifti.read(folder / "nifti" / name / "image" / f"{name}.nii.gz")
    # Their DICOM runs from 0 to the feet, their NIfTI from 0 to the head.
    assert np.array_equal(series.array[..., ::-1], image.array)
    assert series.geometry.affine[2, 3] == -126
    assert image.geometry.affine[2, 3] == 0


def test_one_object_in_four_forms_is_one_volume(shared_data):
    for size in ("23x38x3", "24x38x3"):
        folder = shared_data / "dicom_dcmqi" / "segmentations" / size
        classic, multi = reader.read(folder / "image"), reader.read(folder / "multiframe" / "mf.dcm")
        assert classic.geometry.same_place(multi.geometry)
        assert np.array_equal(classic.array, multi.array)


@pytest.mark.parametrize(
    "folder",
    [
        "dicom_rtutils/oriented_data", "dicom_rt_matrad", "dicom_mr_hippocrop/Study1/13_HCropVolume",
        "dicom_mr_hippocrop/Study3/11-T1post-18670", "dicom_dcmqi/segmentations/ct-3slice",
        "sts_sarcoma_dicom/STS_001/PET/image", "ibsi_digital_phantoms/ibsi_2_digital_phantom/dicom/sphere",
    ],
)  # fmt: skip
def test_real_series_are_read_as_simpleitk_does(shared_data, folder):
    volume = reader.read(shared_data / folder)
    other = SimpleITK.ReadImage(list(volume.source.files))
    assert np.allclose(SimpleITK.GetArrayFromImage(other).T, volume.array[0])
    for corner in ([0, 0, 0], [n - 1 for n in volume.geometry.shape]):
        world = np.array(other.TransformIndexToPhysicalPoint(corner)) * [-1, -1, 1]
        assert np.allclose(world, volume.geometry.to_world(np.array(corner, float)), atol=1e-3)


def test_single_files_hold_the_values_that_simpleitk_reads(shared_data):
    compared = 0
    for path in sorted((shared_data / "dicom_pydicom").glob("*.dcm")):
        try:
            volume = reader.read(path)
            other = SimpleITK.ReadImage(str(path))
        except (Error, RuntimeError):
            continue
        if other.GetNumberOfComponentsPerPixel() > 1 or "MONOCHROME1" in " ".join(volume.source.notes):
            continue
        array = SimpleITK.GetArrayFromImage(other).T
        turned = (
            array[..., ::-1] if "eCT" in path.name else array
        )  # SimpleITK runs k against the normal there
        assert np.allclose(turned, volume.array[0], rtol=1e-5), path
        compared += 1
    assert compared >= 8
