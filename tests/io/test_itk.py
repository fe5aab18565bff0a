import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.io import itk
from delineate.space import Geometry

GRID = Geometry((2, 3, 4), np.array([[0, -2.0, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]]))
NUMBERS = ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", "f4", "f8"]
SUFFIXES = [".nrrd", ".mha"]


def values(shape, kind="i2", seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(kind)


def saved(path, array, direction=None, **options):
    """A file as SimpleITK writes it; `array` is SimpleITK's (k, j, i)."""
    image = SimpleITK.GetImageFromArray(array, **options)
    image.SetSpacing([0.5, 2.0, 3.0, 1.0][: image.GetDimension()])
    image.SetOrigin([10.0, 20.0, 30.0, 0.0][: image.GetDimension()])
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


# Laws


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(data, grids, fresh):
    grid = data.draw(grids())
    skewed = grid.affine @ (np.eye(4) + data.draw(st.sampled_from([0, 0.3])) * np.eye(4, k=1) * [0, 1, 0, 0])
    grid = Geometry(grid.shape, skewed)
    channels, kind = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(NUMBERS))
    array = values((channels, *grid.shape), kind)
    path = fresh() / f"a{data.draw(st.sampled_from(SUFFIXES))}"
    itk.write(path, array, grid)
    volume = itk.read(path)
    assert volume.array.dtype == np.dtype(kind)
    assert np.array_equal(volume.array, array)
    assert volume.geometry.same_place(grid, tolerance_mm=1e-4)
    assert itk.geometry(path).same_place(volume.geometry, tolerance_mm=0)
    assert volume.source.notes == ()


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_simpleitk_puts_every_voxel_where_we_do(data, grids, fresh):
    grid = data.draw(grids())
    path = fresh() / f"a{data.draw(st.sampled_from(SUFFIXES))}"
    itk.write(path, values(grid.shape), grid)
    other = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(other).T, values(grid.shape))
    for corner in ([0, 0, 0], [n - 1 for n in grid.shape]):
        world = np.array(other.TransformIndexToPhysicalPoint(corner)) * [-1, -1, 1]
        assert np.allclose(world, grid.to_world(np.array(corner, float)), atol=1e-4)


# Construction


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.gipl", "a.gipl.gz"])
def test_every_format_gives_the_same_volume(tmp_path, name):
    volume = itk.read(saved(tmp_path / name, values((4, 3, 2))))
    assert np.array_equal(volume.array[0], values((4, 3, 2)).T)
    assert volume.channels == ("image",)
    assert volume.geometry.spacing == (0.5, 2, 3)
    assert volume.geometry.affine[:3, 3].tolist() == [-10, -20, 30]
    assert volume.geometry.orientation == "LPS"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_components_become_channels(tmp_path, suffix):
    volume = itk.read(saved(tmp_path / f"a{suffix}", values((4, 3, 2, 5)), isVector=True))
    assert volume.channels == ("image_0", "image_1", "image_2", "image_3", "image_4")
    assert np.array_equal(volume.array, values((4, 3, 2, 5)).transpose(3, 2, 1, 0))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_fourth_axis_becomes_channels(tmp_path, suffix):
    volume = itk.read(saved(tmp_path / f"a{suffix}", values((5, 4, 3, 2)), isVector=False))
    assert len(volume.channels) == 5
    assert np.array_equal(volume.array, values((5, 4, 3, 2)).transpose(0, 3, 2, 1))
    assert volume.geometry.shape == (2, 3, 4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flat_image_is_one_voxel_thick(tmp_path, suffix):
    volume = itk.read(saved(tmp_path / f"a{suffix}", values((3, 2))))
    assert volume.geometry.shape == (2, 3, 1)
    assert volume.geometry.spacing == (0.5, 2, 1)
    assert np.array_equal(volume.array[0, :, :, 0], values((3, 2)).T)
    colour = itk.read(saved(tmp_path / f"b{suffix}", values((3, 2, 3)), isVector=True))
    assert np.array_equal(colour.array[..., 0], values((3, 2, 3)).transpose(2, 1, 0))


def nrrd(path, *fields):
    """A NRRD file with these fields in its header."""
    lines = [
        "NRRD0005",
        "type: short",
        "dimension: 3",
        *fields,
        "sizes: 2 3 4",
        "encoding: raw",
        "endian: little",
    ]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + values((4, 3, 2)).tobytes())
    return path


PLACED = ("space directions: (1,0,0) (0,2,0) (0,0,3)", "space origin: (10,20,30)")


@pytest.mark.parametrize(
    ("space", "orientation"),
    [
        ("left-posterior-superior", "LPS"),
        ("right-anterior-superior", "RAS"),
        ("RAS", "RAS"),
        ("left-anterior-superior", "LAS"),
    ],
)
def test_nrrd_says_in_which_directions_it_counts(tmp_path, space, orientation):
    volume = itk.read(nrrd(tmp_path / "a.nrrd", f"space: {space}", *PLACED))
    assert volume.geometry.orientation == orientation
    assert np.abs(volume.geometry.affine[:3, 3]).tolist() == [10, 20, 30]
    assert volume.source.notes == ()


@pytest.mark.parametrize(
    "fields", [("space dimension: 3", *PLACED), ("spacings: 1 2 3",), ("space: scanner-xyz", *PLACED)]
)
def test_nrrd_that_does_not_say_how_the_patient_lies_is_noted(tmp_path, fields):
    volume = itk.read(nrrd(tmp_path / "a.nrrd", *fields))
    assert volume.geometry.orientation == "LPS"
    assert volume.geometry.spacing == (1, 2, 3)
    assert "nothing in the header says how the patient lies" in volume.source.notes[0]


def test_nrrd_in_other_units_is_read_as_millimetres(tmp_path):
    volume = itk.read(nrrd(tmp_path / "a.nrrd", "space: LPS", *PLACED, 'space units: "um" "um" "um"'))
    assert np.allclose(volume.geometry.spacing, (0.001, 0.002, 0.003))
    assert np.allclose(volume.geometry.affine[:3, 3], (-0.01, -0.02, 0.03))
    assert volume.source.notes == ("its unit is um; read as millimetres",)


# Refusals


@pytest.mark.parametrize("units", ['"mm" "mm" "s"', '"furlong" "furlong" "furlong"'])
def test_units_that_are_no_lengths_are_refused(tmp_path, units):
    path = nrrd(tmp_path / "a.nrrd", "space: LPS", *PLACED, f"space units: {units}")
    with pytest.raises(DataError, match=r"(?s)its space units are .*; expected one of mm.*Save it with mill"):
        itk.read(path)


def test_channels_in_two_ways_at_once_are_refused(tmp_path):
    path = saved(tmp_path / "a.nrrd", values((2, 4, 3, 2, 3)), isVector=True)
    with pytest.raises(DataError, match="4 axes and 3 components a voxel; expected two or three axes"):
        itk.read(path)


def test_complex_numbers_are_refused(tmp_path):
    path = saved(tmp_path / "a.nrrd", values((4, 3, 2), "c8"))
    with pytest.raises(DataError, match=r"(?s)holds complex numbers.*Save their magnitude"):
        itk.read(path)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.gipl", "a.gipl.gz"])
def test_a_file_cut_anywhere_is_refused(tmp_path, name):
    array = np.random.default_rng(0).integers(0, 2000, (9, 8, 7)).astype(np.int16)
    path = saved(tmp_path / name, array)
    content = path.read_bytes()
    for length in np.random.default_rng(1).integers(1, len(content) - 8, 25):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            itk.read(path)


def test_a_gipl_file_says_how_much_is_missing(tmp_path):
    path = saved(tmp_path / "a.gipl", values((4, 3, 2)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="is cut short: 48 bytes of voxels expected, 40 found"):
        itk.read(path)


@pytest.mark.parametrize("kind", ["u1", "i2", "u4", "i8", "f4", "f8"])
def test_compressed_metaimages_of_every_number_are_read(tmp_path, kind):
    array = values((4, 3, 2, 5), kind)
    image = SimpleITK.GetImageFromArray(array, isVector=True)
    for name in ("a.mha", "a.mhd"):
        SimpleITK.WriteImage(image, str(tmp_path / name), useCompression=True)
        assert np.array_equal(
            itk.read(tmp_path / name).array, values((4, 3, 2, 5), kind).transpose(3, 2, 1, 0)
        )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"DimSize = 2 3 4", b"DimSize = 9 3 4"),
        (b"DimSize = 2 3 4", b"DimSize = 1 3 4"),
        (b"MET_SHORT", b"MET_FLOAT"),
        (b"MET_SHORT", b"MET_NOISE"),
        (b"LOCAL\n", b"LOCAL\nx"),
    ],
)
def test_compressed_metaimages_that_hold_something_else_are_refused(tmp_path, old, new):
    itk.write(tmp_path / "a.mha", values((2, 3, 4)), GRID)
    content = (tmp_path / "a.mha").read_bytes()
    assert old in content
    (tmp_path / "a.mha").write_bytes(content.replace(old, new))
    with pytest.raises(DataError, match=r"bytes of voxels expected, \d+ found|cannot be read as"):
        itk.read(tmp_path / "a.mha")


def test_what_simpleitk_cannot_read_is_refused(tmp_path):
    (tmp_path / "a.nrrd").write_text("NRRD0004\ntype: int\n")
    for read in (itk.read, itk.geometry):
        with pytest.raises(DataError, match="cannot be read as an ITK image"):
            read(tmp_path / "a.nrrd")


# Reference


def test_real_nrrd_files_lie_where_simpleitk_puts_them(shared_data):
    paths = [
        *(shared_data / "pyradiomics_nrrd").glob("*.nrrd"),
        *(shared_data / "dicom_dcmqi").rglob("*.nrrd"),
    ]
    for path in paths:
        volume, other = itk.read(path), SimpleITK.ReadImage(str(path))
        assert np.array_equal(volume.array[0], SimpleITK.GetArrayFromImage(other).T), path
        for corner in ([0, 0, 0], [n - 1 for n in volume.geometry.shape]):
            world = np.array(other.TransformIndexToPhysicalPoint(corner)) * [-1, -1, 1]
            assert np.allclose(world, volume.geometry.to_world(np.array(corner, float)), atol=1e-6), path
    assert len(paths) >= 20


def test_image_and_label_of_real_cases_share_a_grid(shared_data):
    folder = shared_data / "pyradiomics_nrrd"
    for name in ("brain1", "brain2", "breast1"):
        assert itk.geometry(folder / f"{name}_image.nrrd").same_place(
            itk.geometry(folder / f"{name}_label.nrrd")
        )
