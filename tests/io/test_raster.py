import struct
import zlib

import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.errors import DataError, MissingPackage
from delineate.io import raster
from delineate.space import Geometry

GREY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40  # two rows, three columns
ALPHA = "the alpha channel was left out"


def colour(rows=2, columns=3, samples=3, kind="u1"):
    top = np.iinfo(kind).max
    return np.random.default_rng(0).integers(0, top, (rows, columns, samples)).astype(kind)


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


# Laws


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(data, fresh):
    suffix, channels = data.draw(st.sampled_from([".png", ".tif"])), data.draw(st.sampled_from([1, 3]))
    kinds = {".png": ["u1", "u2"] if channels == 1 else ["u1"], ".tif": ["u1", "u2", "i2", "u4", "f4"]}
    kind = data.draw(st.sampled_from(kinds[suffix]))
    slices = 1 if suffix == ".png" else data.draw(st.integers(1, 4))
    shape = (data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)), slices)
    array = np.random.default_rng(0).integers(0, 200, (channels, *shape)).astype(kind)
    spacing = (1, 1, 1) if suffix == ".png" else data.draw(st.tuples(*[st.floats(1e-4, 5)] * 3))
    grid = Geometry(shape, np.diag([-spacing[0], -spacing[1], spacing[2], 1]))
    path = fresh() / f"a{suffix}"
    raster.write(path, array, grid)
    volume = raster.read(path)
    assert volume.array.dtype == np.dtype(kind)
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.geometry.spacing, spacing, rtol=1e-6)
    assert raster.geometry(path).same_place(volume.geometry, tolerance_mm=0)


# Construction


def test_columns_are_i_and_rows_are_j(tmp_path):
    volume = raster.read(saved(tmp_path / "a.png", GREY))
    assert volume.array.shape == (1, 3, 2, 1)
    assert np.array_equal(volume.array[0, :, :, 0].T, GREY)
    assert volume.geometry.same_place(Geometry.of_image((3, 2)))
    assert volume.source.notes == (raster.NO_SIZE,)
    assert volume.channels == ("image",)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_colour_has_three_channels(tmp_path, suffix):
    volume = raster.read(saved(tmp_path / f"a{suffix}", colour()))
    assert volume.channels == ("red", "green", "blue")
    assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), colour())


def test_jpeg_is_read_in_grey_and_colour(tmp_path):
    flat = np.full((8, 8, 3), 120, np.uint8)
    assert np.abs(raster.read(saved(tmp_path / "a.jpg", flat)).array.astype(int) - 120).max() <= 2
    assert raster.read(saved(tmp_path / "b.jpeg", flat[..., 0])).array.shape == (1, 8, 8, 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_left_out_and_a_note_says_so(tmp_path, suffix):
    volume = raster.read(saved(tmp_path / f"a{suffix}", colour(samples=4)))
    assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), colour(samples=4)[..., :3])
    assert ALPHA in volume.source.notes
    grey = np.dstack([GREY, GREY])
    volume = raster.read(saved(tmp_path / f"b{suffix}", grey))
    assert np.array_equal(volume.array[0, :, :, 0].T, GREY)
    assert ALPHA in volume.source.notes


def test_a_transparent_colour_is_left_out_too(tmp_path):
    saved(tmp_path / "a.png", colour(), transparency=(1, 2, 3))
    assert ALPHA in raster.read(tmp_path / "a.png").source.notes
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "b.png", transparency=bytes([0, 128, 255]))
    assert ALPHA in raster.read(tmp_path / "b.png").source.notes


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_of_grey_are_kept(tmp_path, suffix):
    deep = GREY.astype(np.uint16) * 300
    volume = raster.read(saved(tmp_path / f"a{suffix}", deep))
    assert volume.array.dtype == np.uint16
    assert np.array_equal(volume.array[0, :, :, 0].T, deep)


@pytest.mark.parametrize(("samples", "notes"), [(3, ()), (4, (ALPHA,))])
def test_sixteen_bits_of_colour_are_kept(tmp_path, samples, notes):
    deep = colour(samples=samples, kind="u2")
    image = SimpleITK.GetImageFromArray(deep, isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "a.png"))
    volume = raster.read(tmp_path / "a.png")
    assert volume.array.dtype == np.uint16
    assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), deep[..., :3])
    assert volume.source.notes[1:] == notes


def test_sixteen_bits_of_grey_with_alpha_are_refused_rather_than_rounded(tmp_path):
    image = SimpleITK.GetImageFromArray(colour(samples=2, kind="u2"), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "a.png"))
    with pytest.raises(DataError, match=r"(?s)grey of 16 bits with an alpha channel.*Save it without"):
        raster.read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_palette_is_looked_up_unless_its_indices_are_asked_for(tmp_path, suffix):
    picture = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), mode=None).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.save(tmp_path / f"a{suffix}")
    looked_up = raster.read(tmp_path / f"a{suffix}")
    assert looked_up.array[:, 2, 0, 0].tolist() == [70, 80, 90]
    assert "colours were looked up in its palette" in looked_up.source.notes
    indices = raster.read(tmp_path / f"a{suffix}", palette_indices=True)
    assert indices.array[0, :, :, 0].T.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert "values are the indices of its palette, not its colours" in indices.source.notes


def test_a_palette_in_tiff_is_looked_up_unless_its_indices_are_asked_for(tmp_path):
    table = np.zeros((3, 256), np.uint16)
    table[:, 1] = np.array([10, 20, 30]) * 257
    stack = np.zeros((2, 3, 4), np.uint8)
    stack[1, 0, 2] = 1
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="palette", colormap=table)
    looked_up = raster.read(tmp_path / "a.tif")
    assert looked_up.array.dtype == np.uint8
    assert looked_up.array[:, 2, 0, 1].tolist() == [10, 20, 30]
    assert np.array_equal(raster.read(tmp_path / "a.tif", palette_indices=True).array[0], stack.T)
    table[:, 1] += 1
    tifffile.imwrite(tmp_path / "b.tif", stack, photometric="palette", colormap=table)
    assert raster.read(tmp_path / "b.tif").array.dtype == np.uint16


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit_gives_zero_and_one(tmp_path, suffix):
    volume = raster.read(saved(tmp_path / f"a{suffix}", GREY > 100))
    assert volume.array.dtype == np.uint8
    assert np.array_equal(volume.array[0, :, :, 0].T, GREY > 100)


def test_pages_of_a_tiff_are_slices(tmp_path):
    stack = np.random.default_rng(0).integers(0, 2000, (4, 2, 5)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    assert np.array_equal(raster.read(tmp_path / "a.tif").array[0], stack.T)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for page in stack:
            file.write(page, contiguous=False, metadata=None)
    assert np.array_equal(raster.read(tmp_path / "pages.tif").array[0], stack.T)


def test_colour_pages_are_slices_of_three_channels(tmp_path):
    stack = np.random.default_rng(0).integers(0, 200, (4, 2, 5, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb")
    assert np.array_equal(raster.read(tmp_path / "a.tif").array, stack.transpose(3, 2, 1, 0))


def test_channels_of_a_microscope_are_channels(tmp_path):
    stack = np.random.default_rng(0).integers(0, 200, (4, 2, 5, 6)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    volume = raster.read(tmp_path / "a.tif")
    assert volume.channels == ("image_0", "image_1")
    assert np.array_equal(volume.array, stack.transpose(1, 3, 2, 0))


def test_imagej_says_how_large_a_voxel_is(tmp_path):
    stack = np.zeros((4, 2, 5), np.uint8)
    about = {"axes": "ZYX", "unit": "um", "spacing": 3.0}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(2.0, 4.0), metadata=about)
    volume = raster.read(tmp_path / "a.tif")
    assert np.allclose(volume.geometry.spacing, (0.0005, 0.00025, 0.003))
    assert volume.source.notes == ()
    tifffile.imwrite(tmp_path / "b.tif", stack, imagej=True, metadata={"axes": "ZYX", "unit": "furlong"})
    assert raster.read(tmp_path / "b.tif").geometry.spacing == (1, 1, 1)
    tifffile.imwrite(tmp_path / "c.tif", stack, imagej=True, resolution=(0, 1), metadata=about)
    assert raster.read(tmp_path / "c.tif").geometry.spacing == (1, 1, 1)


def test_ome_says_how_large_a_voxel_is(tmp_path):
    stack = np.zeros((4, 2, 5), np.uint8)
    about = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 2, "PhysicalSizeYUnit": "mm"}
    tifffile.imwrite(tmp_path / "a.tif", stack, ome=True, metadata=about)
    assert np.allclose(raster.geometry(tmp_path / "a.tif").spacing, (0.0005, 2, 0.0005))
    tifffile.imwrite(tmp_path / "b.tif", stack, ome=True, metadata={"axes": "ZYX"})
    assert raster.geometry(tmp_path / "b.tif").spacing == (1, 1, 1)


def test_white_at_zero_is_read_as_stored_and_noted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="miniswhite")
    volume = raster.read(tmp_path / "a.tif")
    assert np.array_equal(volume.array[0, :, :, 0].T, GREY)
    assert "0 is white in this file; values were read as stored" in volume.source.notes


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_tiff_read_alike(tmp_path, order):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.uint16), byteorder=order)
    volume = raster.read(tmp_path / "a.tif")
    assert volume.array.dtype.isnative
    assert np.array_equal(volume.array[0, :, :, 0].T, GREY)


def test_a_picture_that_viewers_turn_is_read_as_stored_and_noted(tmp_path):
    about = Image.Exif()
    about[0x0112] = 6
    saved(tmp_path / "a.jpg", np.zeros((8, 4, 3), np.uint8), exif=about)
    volume = raster.read(tmp_path / "a.jpg")
    assert volume.geometry.shape == (4, 8, 1)
    assert "Exif data ask viewers to turn it" in volume.source.notes[1]


def test_colours_of_print_are_converted_and_noted(tmp_path):
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    volume = raster.read(tmp_path / "a.jpg")
    assert volume.channels == ("red", "green", "blue")
    assert "colours were converted from CMYK" in volume.source.notes


# Refusals


def png_of(columns, rows):
    """A PNG that claims a size and holds nothing."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_small_file_that_claims_a_huge_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of(100_000, 100_000))
    for read in (raster.read, raster.geometry):
        with pytest.raises(DataError, match="says that it has 100000 x 100000 pixels; up to 268,435,456"):
            read(tmp_path / "a.png")


def test_an_animation_is_refused(tmp_path):
    pictures = [Image.fromarray(GREY), Image.fromarray(GREY[::-1])]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:])
    with pytest.raises(DataError, match=r"(?s)is animated.*pages of a TIFF"):
        raster.read(tmp_path / "a.png")


def test_pages_of_different_sizes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, metadata=None)
        file.write(GREY.T, metadata=None)
    with pytest.raises(DataError, match=r"its pages differ in size \(2 x 3, 3 x 2\)"):
        raster.read(tmp_path / "a.tif")


def test_slices_over_time_are_refused(tmp_path):
    stack = np.zeros((2, 3, 4, 5), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(DataError, match=r"(?s)has 2 T x 3 Z x 4 Y x 5 X.*one time point or field a file"):
        raster.read(tmp_path / "a.tif")


def test_a_whole_slide_is_refused(tmp_path, shared_data):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((64, 64), np.uint8), subifds=1, tile=(16, 16))
        file.write(np.zeros((32, 32), np.uint8), subfiletype=1, tile=(16, 16))
    with pytest.raises(DataError, match=r"(?s)is a whole slide.*Cut the region of interest"):
        raster.read(tmp_path / "a.tif")
    (tmp_path / "b.tif").symlink_to(shared_data / "wsi" / "svs-images" / "cmu-1-small-region.svs")
    with pytest.raises(DataError, match="is a whole slide"):
        raster.read(tmp_path / "b.tif")


def test_a_compression_that_needs_a_package_says_which(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="lzw")
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {})

    class Bare(dict):
        def __missing__(self, key):
            raise KeyError(f"{key!r} requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", Bare())
    with pytest.raises(MissingPackage, match=r"pip install 'delineate\[tiff\]'"):
        raster.read(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif"])
def test_a_file_cut_anywhere_is_refused(tmp_path, name):
    picture = np.random.default_rng(0).integers(0, 255, (31, 37, 3)).astype(np.uint8)
    path = saved(tmp_path / name, picture)
    content = path.read_bytes()
    for length in np.random.default_rng(1).integers(1, int(0.97 * len(content)), 25):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"cannot be read as a picture|is cut short|pages are missing"):
            raster.read(path)


def test_a_tiff_without_its_last_bytes_says_how_many_are_missing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-3])
    expected = rf"is cut short: {len(content)} bytes expected, {len(content) - 3} found"
    with pytest.raises(DataError, match=expected):
        raster.read(tmp_path / "a.tif")


def test_a_stack_whose_planes_are_elsewhere_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 4, 5), np.uint8), ome=True, metadata={"axes": "ZYX"})
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content.replace(b'SizeZ="2"', b'SizeZ="9"'))
    with pytest.raises(DataError, match="some of its pages are missing"):
        raster.read(tmp_path / "a.tif")


def test_a_place_in_the_patient_cannot_be_written(tmp_path):
    with pytest.raises(
        DataError, match=r"(?s)a picture cannot say how a grid lies in the patient \(RAS.*NIfTI"
    ):
        raster.write(tmp_path / "a.png", GREY[:, :, None], Geometry((2, 3, 1), np.eye(4)))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("a.png", np.zeros((3, 2, 2), np.uint8), "holds one slice, grey or RGB; this is 1 channels of 2"),
        ("a.png", np.zeros((2, 3, 2, 1), np.uint8), "holds one slice, grey or RGB; this is 2 channels"),
        (
            "a.png",
            np.zeros((3, 2, 1), np.float32),
            "of 8 bits, or grey ones of 16, not float32",
        ),
        ("a.png", np.zeros((3, 3, 2, 1), np.uint16), "not uint16 in colour"),
        (
            "a.tif",
            np.zeros((3, 2, 1), np.float64),
            "written with one channel or RGB, of 8 to 32 bits",
        ),
        ("a.tif", np.zeros((2, 3, 2, 1), np.uint8), "this is 2 channels of uint8"),
    ],
)
def test_what_a_picture_cannot_hold_is_refused(tmp_path, name, array, message):
    grid = Geometry(array.shape[-3:], np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(DataError, match=message):
        raster.write(tmp_path / name, array, grid)


# Reference


def test_real_pictures_are_read_as_pillow_does(shared_data):
    for path in [
        *sorted((shared_data / "dsb2018").rglob("*.png"))[:12],
        *sorted((shared_data / "wbc_cells").rglob("*.bmp"))[:5],
    ]:
        volume = raster.read(path)
        with Image.open(path) as image:
            pixels = np.atleast_3d(np.asarray(image))[..., : len(volume.array)]
        assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), pixels), path
