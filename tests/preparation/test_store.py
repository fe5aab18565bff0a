import json
import sys
from concurrent.futures import ThreadPoolExecutor

import blosc2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError, GeometryError, RunError
from delineate.preparation.locations import locate, targets
from delineate.preparation.store import (
    CASE,
    IMAGE,
    LABELS,
    LOCATIONS,
    PREVIOUS,
    Prepared,
    Store,
    even,
    layout,
    load_record,
    smallest,
    write_case,
)
from delineate.space import Box, Geometry, LabelSchema

SCHEMA = LabelSchema.of("a", "b")
SHAPE = (21, 18, 15)


def prepared(seed=0, *, shape=SHAPE, schema=SCHEMA, channels=2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1 if schema.ignore else 0, 2, shape).astype(np.int16)  # no label "b"
    grid = Geometry(shape, np.diag([1.1, 0.9, 1 / 3, 1]))
    return Prepared(
        rng.normal(size=(channels, *shape)).astype(np.float32),
        labels,
        grid,
        grid.respaced((1.0, 1.0, 1.0)),
        tuple(f"c{n}" for n in range(channels)),
        targets(schema),
        locate(labels, targets(schema), rng),
    )


@pytest.fixture
def folder(tmp_path):
    """A store of three cases, "a", "b" and "c"."""
    for seed, case in enumerate("abc"):
        write_case(tmp_path, case, prepared(seed), patch=(8, 8, 8), made_from="recipe")
    return tmp_path


boxes = st.tuples(*[st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in SHAPE]).map(
    lambda sides: Box(*zip(*((min(a, b - 1), b) for a, b in sides), strict=True))
)


# -- what is written is read


def test_a_store_knows_its_complete_cases(folder):
    (folder / "unfinished").mkdir()
    (folder / ".1234.partial-d").mkdir()
    (folder / "notes.txt").write_text("mine")
    assert Store.open(folder).ids == ("a", "b", "c")


@pytest.mark.parametrize("cache_gb", [0, 1e-4, 1])
def test_a_case_is_read_as_it_was_written(folder, cache_gb):
    store = Store.open(folder, cache_gb=cache_gb)
    for seed, name in enumerate("abc"):
        case, truth = store.case(name), prepared(seed)
        assert np.array_equal(case.image(), truth.image)
        assert np.array_equal(case.labels(), truth.labels)
        assert (case.image().dtype, case.labels().dtype) == (np.float32, np.int16)
        assert (case.id, case.shape, case.channels) == (name, SHAPE, ("c0", "c1"))
        assert np.array_equal(case.geometry.affine, truth.grid.affine)
        assert np.array_equal(case.cropped.affine, truth.cropped.affine)
        assert case.cropped.shape == truth.cropped.shape


@given(boxes)
@settings(max_examples=40, deadline=None)
def test_a_block_is_a_part_of_the_whole(tmp_path_factory, box):
    folder = tmp_path_factory.getbasetemp() / "blocks"
    if not folder.exists():
        write_case(folder, "a", prepared(), patch=(8, 8, 8), made_from="recipe")
    truth = prepared()
    for store in (Store.open(folder), Store.open(folder, cache_gb=1)):
        case = store.case("a")
        assert np.array_equal(case.image(box), truth.image[:, *box.slices])
        assert np.array_equal(case.labels(box), truth.labels[box.slices])
        assert np.array_equal(case.labels(box.slices), truth.labels[box.slices])


def test_locations_are_those_of_the_structure(folder):
    case, truth = Store.open(folder).case("a"), prepared()
    assert np.array_equal(case.locations(1), np.argwhere(truth.labels == 1))
    assert case.locations(1).dtype == np.int32
    assert case.locations(2).shape == (0, 3)
    assert case.classes_present == (1,)
    assert [(s.name, s.voxels) for s in case.record.structures] == [
        ("a", (truth.labels == 1).sum()),
        ("b", 0),
    ]


def test_with_an_ignore_label_annotated_voxels_are_class_zero(tmp_path):
    truth = prepared(schema=SCHEMA.but(ignore=7))
    write_case(tmp_path, "a", truth, patch=(8, 8, 8), made_from="recipe")
    case = Store.open(tmp_path).case("a")
    assert np.array_equal(case.locations(0), np.argwhere(truth.labels >= 0))
    assert case.classes_present == (1,)
    assert case.labels().min() == -1


def test_a_case_without_any_structure_has_no_locations(tmp_path):
    labels = np.zeros(SHAPE, np.int16)
    empty = prepared()
    empty = Prepared(
        empty.image, labels, empty.grid, empty.cropped, empty.channels, empty.targets,
        locate(labels, empty.targets, np.random.default_rng(0)),
    )  # fmt: skip
    write_case(tmp_path, "a", empty, patch=(8, 8, 8), made_from="recipe")
    case = Store.open(tmp_path).case("a")
    assert case.classes_present == ()
    assert case.locations(1).shape == (0, 3)


def test_the_record_is_readable_json(folder):
    record = json.loads((folder / "a" / CASE).read_text())
    assert record["case"] == "a"
    assert record["made_from"] == "recipe"
    assert record["grid"]["shape"] == list(SHAPE)


def test_writing_a_case_again_replaces_it(folder):
    write_case(folder, "a", prepared(7), patch=(8, 8, 8), made_from="other")
    assert np.array_equal(Store.open(folder).case("a").image(), prepared(7).image)
    assert load_record(folder / "a").made_from == "other"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize(("top", "kind"), [(1, np.int8), (127, np.int8), (128, np.int16), (400, np.int16)])
def test_labels_are_kept_in_the_smallest_type(top, kind):
    assert smallest(np.array([-1, 0, top], np.int16)).dtype == kind


# -- previous stage of a cascade


def test_labels_of_the_previous_stage_are_kept_beside_a_case(folder):
    store = Store.open(folder, cache_gb=1)
    case = store.case("a")
    assert not case.has_previous
    labels = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    store.write_previous("a", labels)
    assert case.has_previous
    box = Box((1, 2, 3), (9, 8, 7))
    assert np.array_equal(case.previous(), labels)
    assert np.array_equal(case.previous(box), labels[box.slices])
    store.write_previous("a", labels[::-1])
    assert np.array_equal(case.previous(), labels[::-1])
    assert case.previous().dtype == np.int16
    assert np.array_equal(Store.open(folder).case("a").previous(), labels[::-1])


def test_without_the_previous_stage_its_labels_are_refused(folder):
    with pytest.raises(RunError, match=r"no labels of the previous cascade stage\. Train that stage first"):
        Store.open(folder).case("a").previous()


@pytest.mark.parametrize("wrong", [np.zeros((3, 3, 3), np.uint8), np.zeros(SHAPE, np.float32)])
def test_labels_of_another_grid_or_type_are_refused(folder, wrong):
    with pytest.raises(
        DataError, match=r"a: labels of the previous stage are whole numbers on the prepared grid"
    ):
        Store.open(folder).write_previous("a", wrong)


# -- threads and memory


@pytest.mark.parametrize("cache_gb", [0, 1])
def test_threads_read_the_same(folder, cache_gb):
    store = Store.open(folder, cache_gb=cache_gb)
    truth = {name: prepared(seed) for seed, name in enumerate("abc")}

    def right(seed):
        rng = np.random.default_rng(seed)
        name = "abc"[rng.integers(3)]
        start = tuple(int(rng.integers(n - 4)) for n in SHAPE)
        box = Box(start, tuple(a + 4 for a in start))
        case = store.case(name)
        return (
            np.array_equal(case.image(box), truth[name].image[:, *box.slices])
            and np.array_equal(case.labels(box), truth[name].labels[box.slices])
            and len(case.locations(1)) == (truth[name].labels == 1).sum()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(400)))


def test_what_a_case_gives_is_the_callers_own(folder):
    case = Store.open(folder, cache_gb=1).case("a")
    for read in (case.image, case.labels, lambda: case.locations(1)):
        read()[...] = 99
        assert not (read() == 99).all()


def test_cached_arrays_are_read_once(folder):
    store = Store.open(folder, cache_gb=1)
    store.case("a").image()
    (folder / "a" / IMAGE).unlink()
    assert np.array_equal(store.case("a").image(), prepared().image)
    assert store.case("a") is store.case("a")


def test_a_cache_that_is_full_leaves_the_rest_on_disk(folder):
    size = prepared().image.nbytes
    store = Store.open(folder, cache_gb=1.5 * size / 1e9)
    for name in "abc":
        store.case(name).image()
    for name in "abc":
        (folder / name / IMAGE).unlink()
    store.case("a").image()
    with pytest.raises(DataError, match=r"image\.b2nd: is missing, cut short or damaged"):
        store.case("b").image()


def test_many_cases_keep_no_file_open(tmp_path, folder):
    if not sys.platform.startswith("linux"):
        pytest.skip("counts open files as Linux lists them")
    from pathlib import Path

    store = Store.open(folder)
    store.case("a").locations(1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [store.case(name).locations(1) for name in "abc" * 10]
    kept += [store.case(name).image() for name in "abc" * 10]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


# -- layout on disk


@given(st.integers(1, 500), st.integers(1, 500))
def test_even_pieces_are_no_longer_than_asked(length, longest):
    edge = even(length, longest)
    pieces = -(-length // edge)
    assert edge <= longest
    assert pieces == -(-length // longest)
    assert pieces * edge - length < pieces


def test_chunks_are_about_a_patch_and_blocks_fit_a_cache():
    chunk, block = layout((300, 280, 130), (128, 128, 128))
    assert chunk == (100, 94, 65)
    assert block == (25, 32, 22)
    assert layout((36, 50, 35), (1, 56, 40)) == ((36, 50, 35), (1, 50, 35))
    assert layout((200, 512, 512), (1, 512, 512)) == ((2, 512, 512), (1, 128, 128))
    assert layout((120, 121, 1), (128, 128, 1)) == ((120, 121, 1), (120, 121, 1))


def test_patches_touch_few_chunks(tmp_path):
    write_case(tmp_path, "a", prepared(shape=(40, 40, 40)), patch=(16, 16, 16), made_from="recipe")
    array = blosc2.open(str(tmp_path / "a" / IMAGE), mode="r")
    assert array.chunks == (1, 14, 14, 14)


# -- refusals


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"no prepared cases here. Run `delineate prepare` first"):
        Store.open(tmp_path / "nowhere")


def test_an_unknown_case_is_refused(folder):
    with pytest.raises(DataError, match="case 'z' is not prepared"):
        Store.open(folder).case("z")


def test_an_unknown_class_is_refused(folder):
    with pytest.raises(DataError, match=r"no locations of class 3; there are \[1, 2\]"):
        Store.open(folder).case("a").locations(3)


def test_a_block_that_sticks_out_is_refused(folder):
    case = Store.open(folder).case("a")
    for box in (Box((-1, 0, 0), (4, 4, 4)), Box((0, 0, 0), (4, 4, 16))):
        with pytest.raises(GeometryError, match=r"a: the block from .* sticks out of the prepared grid"):
            case.image(box)


WAY_OUT = r"is missing, cut short or damaged\. Delete the folder .*run `delineate prepare` again"


@pytest.mark.parametrize("name", [IMAGE, LABELS, LOCATIONS, CASE])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused(folder, name, share):
    path = folder / "a" / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=WAY_OUT):
        Store.open(folder).case("a")


@pytest.mark.parametrize("name", [IMAGE, LABELS, LOCATIONS])
def test_a_missing_file_is_refused(folder, name):
    (folder / "a" / name).unlink()
    with pytest.raises(DataError, match=WAY_OUT):
        Store.open(folder).case("a")


@pytest.mark.parametrize("name", [IMAGE, LABELS, LOCATIONS])
def test_a_file_of_the_right_size_and_the_wrong_content_is_refused(folder, name):
    path = folder / "a" / name
    path.write_bytes(bytes(path.stat().st_size))
    case = Store.open(folder).case("a")
    with pytest.raises(DataError, match=WAY_OUT):
        case.image(), case.labels(), case.locations(1)


def test_an_array_of_another_shape_is_refused(folder):
    store = Store.open(folder)
    store.write_previous("a", np.zeros(SHAPE, np.uint8))
    blosc2.asarray(np.zeros((4, 4, 4), np.int8), urlpath=str(folder / "a" / PREVIOUS), mode="w")
    with pytest.raises(DataError, match=WAY_OUT):
        Store.open(folder).case("a").previous()


def test_damaged_bytes_never_crash_the_reader(folder):
    path = folder / "a" / IMAGE
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for round_ in range(30):
        damaged = bytearray(content)
        for place in rng.integers(0, 400 if round_ % 2 else len(content), 5):
            damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            assert Store.open(folder).case("a").image().shape == (2, *SHAPE)
        except DataError as error:
            assert "run `delineate prepare` again" in str(error)
