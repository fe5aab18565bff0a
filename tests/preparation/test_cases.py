import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError, PlanError
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.planning import fingerprint, make_plan
from delineate.planning.plan import Normalization
from delineate.preparation import Store, prepare, prepare_scan, store_name
from delineate.preparation.cases import _bytes_needed, _Room
from delineate.preparation.patches import Sampler
from delineate.space import Geometry, LabelMap, LabelSchema, Volume
from delineate.space.phantoms import balls, cells

CASES = ("a", "b", "c", "d")


def write_case_files(folder, case, seed):
    scan, labels = balls(np.random.default_rng(seed), size=14)
    write_volume(scan, folder / f"imagesTr/{case}_0000.nii.gz")
    write_labels(labels, folder / f"labelsTr/{case}.nii.gz")


def nnunet_raw(folder, cases=CASES):
    """A dataset of two balls in a tiny scan each."""
    for seed, case in enumerate(cases):
        write_case_files(folder, case, seed)
    about = {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, "large ball": 1, "small ball": 2},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def dataset(tmp_path):
    return Dataset.open(nnunet_raw(tmp_path / "raw"))


@pytest.fixture
def plan(plan_of, configuration_of):
    return plan_of(
        configurations={
            "3d_fullres": configuration_of((1.0, 1.0, 1.0)),
            "2d": configuration_of((1.0, 1.2, 1.2), slice_axis=0),
        }
    )


def content(folder):
    """Every file of a prepared folder but the digests, as bytes."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            text = path.read_bytes()
            if path.name == "case.json":
                text = json.dumps(json.loads(text) | {"made_from": ""}).encode()
            files[str(path.relative_to(folder))] = text
    return files


def times(folder):
    return {path.parent: path.stat().st_mtime_ns for path in folder.rglob("case.json")}


# -- what is prepared


def test_every_case_is_prepared_for_every_configuration(dataset, plan, tmp_path):
    stores = prepare(dataset, plan, tmp_path / "prepared")
    assert set(stores) == {"3d_fullres", "2d"}
    for name, store in stores.items():
        assert store.ids == CASES
        assert store.folder == tmp_path / "prepared" / name
        for case in dataset.cases:
            expected = prepare_scan(dataset.scan(case), plan, plan.configuration(name))
            stored = store.case(case.id)
            assert np.array_equal(stored.image(), expected.array)
            assert stored.geometry.same_place(expected.geometry)
            assert stored.cropped.same_place(expected.cropped)
            assert stored.channels == ("image",)
            assert set(np.unique(stored.labels())) == {0, 1, 2}
            assert stored.classes_present == (1, 2)
            for n in (1, 2):
                assert (stored.labels()[tuple(stored.locations(n).T)] == n).all()


def test_configurations_that_see_the_same_arrays_share_them(dataset, plan_of, configuration_of, tmp_path):
    plan = plan_of(
        configurations={
            "2d": configuration_of((1.0, 1.0, 1.0), slice_axis=0),
            "3d_fullres": configuration_of((1.0, 1.0, 1.0)),
            "3d_lowres": configuration_of((2.0, 2.0, 2.0)),
            "3d_cascade_fullres": configuration_of((1.0, 1.0, 1.0), previous="3d_lowres"),
        },
        use=("3d_cascade_fullres",),
    )
    assert store_name(plan, "3d_cascade_fullres") == "3d_fullres"
    assert store_name(plan, "2d") == "2d"
    stores = prepare(dataset, plan, tmp_path)
    assert set(stores) == {"3d_lowres", "3d_cascade_fullres"}
    assert stores["3d_cascade_fullres"].folder == tmp_path / "3d_fullres"
    assert not (tmp_path / "2d").exists()


def test_regions_and_unknown_voxels_are_located(tmp_path, plan_of):
    folder = nnunet_raw(tmp_path / "raw", ("a",))
    about = json.loads((folder / "dataset.json").read_text())
    about["labels"] = {"background": 0, "both": [1, 2], "small": 2, "ignore": 3}
    about["regions_class_order"] = [1, 2]
    (folder / "dataset.json").write_text(json.dumps(about))
    labels = Dataset.open(folder)
    values = labels.labels(labels.cases[0]).array.copy()
    values[:2] = 3
    scan = labels.scan(labels.cases[0])
    write_labels(LabelMap(values, scan.geometry, labels.schema), folder / "labelsTr/a.nii.gz")
    dataset = Dataset.open(folder)
    plan = plan_of(schema=dataset.schema, crop_to_nonzero=False)
    case = prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"].case("a")
    stored = case.labels()
    assert stored.min() == -1
    assert case.classes_present == (1, 2)
    assert len(case.locations(1)) == (stored > 0).sum()
    assert len(case.locations(2)) == (stored == 2).sum()
    assert len(case.locations(0)) == (stored >= 0).sum()


def test_pictures_are_prepared_too(tmp_path, plan_of, configuration_of):
    for n in range(2):
        scan, labels = cells(np.random.default_rng(n), size=40)
        picture = Volume(scan.array.astype(np.uint8), scan.geometry, scan.channels)
        write_volume(picture, tmp_path / f"images/{n}.png")
        write_labels(labels, tmp_path / f"labels/{n}.png")
    (tmp_path / "labels.json").write_text(
        json.dumps({"background": 0, **{label.name: label.value for label in labels.schema.labels}})
    )
    dataset = Dataset.open(tmp_path)
    grid = dataset.scan(dataset.cases[0]).geometry
    plan = plan_of(
        schema=dataset.schema,
        channels=dataset.channels,
        rules=[Normalization(rule="rgb")] * 3,
        configurations={"2d": configuration_of((1.0, 1.0, 1.0), slice_axis=2)},
        orientation=grid.orientation,
    )
    case = prepare(dataset, plan, tmp_path / "prepared")["2d"].case(dataset.cases[0].id)
    assert case.shape == (40, 40, 1)
    assert case.image().shape == (3, 40, 40, 1)
    assert case.image().max() <= 1


def test_progress_counts_every_case(dataset, plan, tmp_path):
    seen = []
    for _ in range(2):  # kept cases count too
        prepare(dataset, plan, tmp_path, progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2
    assert sorted(case for *_, case in seen) == sorted(CASES * 2)


# -- nothing depends on anything else


def test_the_number_of_workers_and_their_memory_change_nothing(dataset, plan, tmp_path):
    prepare(dataset, plan, tmp_path / "one", workers=1)
    prepare(dataset, plan, tmp_path / "four", workers=4, memory_gb=1e-6)
    assert content(tmp_path / "one") == content(tmp_path / "four")


def test_changing_one_case_never_changes_another(dataset, plan, tmp_path):
    prepare(dataset, plan, tmp_path / "before")
    write_case_files(tmp_path / "raw", "b", seed=77)
    other = Dataset.open(tmp_path / "raw").subset(["a", "b", "d"])
    prepare(other, plan, tmp_path / "after")
    before, after = content(tmp_path / "before"), content(tmp_path / "after")
    for name, file in after.items():
        assert (before[name] == file) == ("/b/" not in name), name


def test_preparing_leaves_the_generators_of_others_alone(dataset, plan, tmp_path):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - that it is not used is the test
    prepare(dataset, plan, tmp_path)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


# -- what is there is kept


def test_cases_that_did_not_change_are_kept(dataset, plan, tmp_path):
    prepare(dataset, plan, tmp_path / "prepared")
    before = times(tmp_path / "prepared")
    for same in (plan, plan.set_by_hand("configurations.3d_fullres.batch", 4)):
        prepare(dataset, same, tmp_path / "prepared")
        assert times(tmp_path / "prepared") == before


def test_a_case_whose_files_changed_is_prepared_again(dataset, plan, tmp_path):
    store = prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"]
    before, image = times(store.folder), store.case("b").image()
    write_case_files(tmp_path / "raw", "b", seed=77)
    store = prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"]
    changed = {path.name for path, when in times(store.folder).items() if when != before[path]}
    assert changed == {"b"}
    assert not np.array_equal(store.case("b").image(), image)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("configurations.3d_fullres.spacing", [2.0, 2.0, 2.0]),
        ("channels", [{"name": "image", "normalization": {"rule": "unit"}}]),
        ("orientation", "LPS"),
        ("crop_to_nonzero", False),
    ],
)
def test_a_plan_that_prepares_otherwise_prepares_again(dataset, plan, tmp_path, field, value):
    store = prepare(dataset, plan, tmp_path / "prepared", names=["3d_fullres"])["3d_fullres"]
    before = times(store.folder)
    prepare(dataset, plan.set_by_hand(field, value), tmp_path / "prepared", names=["3d_fullres"])
    assert all(when != before[path] for path, when in times(store.folder).items())


def test_a_meaning_of_label_values_that_changed_prepares_again(dataset, plan, tmp_path):
    store = prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"]
    before = times(store.folder)
    swapped = LabelSchema.of("small ball", "large ball")
    renamed = replace(dataset, schema=swapped)
    prepare(renamed, plan.but(labels=swapped), tmp_path / "prepared")
    assert times(store.folder) == before  # other names, the same arrays
    ignoring = plan.labels.but(ignore=9)
    prepare(replace(dataset, schema=ignoring), plan.but(labels=ignoring), tmp_path / "prepared")
    assert all(when != before[path] for path, when in times(store.folder).items())


# -- after a kill


def test_half_written_cases_are_swept_and_prepared_again(dataset, plan, tmp_path):
    whole = tmp_path / "whole"
    prepare(dataset, plan, whole)
    store = tmp_path / "prepared/3d_fullres"
    prepare(dataset, plan, store.parent)
    (store / ".0123.partial-a").mkdir()
    (store / ".0123.partial-a/image.b2nd").write_bytes(b"half")
    (store / ".4567.partial-notes").write_text("half")
    (store / "a/case.json").unlink()
    (store / "b/image.b2nd").write_bytes(b"half")
    (store / "c/locations.npy").unlink()
    prepare(dataset, plan, store.parent)
    assert content(store.parent) == content(whole)


CHILD = """
import sys
from pathlib import Path
from delineate.dataset import Dataset
from delineate.planning.plan import Plan
from delineate.preparation import prepare
raw, plan, folder = map(Path, sys.argv[1:])
def say(done, total, case):
    print(done, flush=True)
prepare(Dataset.open(raw), Plan.load(plan), folder, workers=2, progress=say)
"""


@pytest.mark.parametrize("after", [0, 3])
def test_a_run_that_was_killed_goes_on(plan, tmp_path, after):
    cases = [f"case_{n:02}" for n in range(40)]
    dataset = Dataset.open(nnunet_raw(tmp_path / "raw", cases))
    (tmp_path / "plan.json").write_text(plan.to_json())
    arguments = [str(tmp_path / name) for name in ("raw", "plan.json", "prepared")]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)
    while after == 0 and child.poll() is None and not any(tmp_path.glob("prepared/*/*")):
        time.sleep(0.001)  # until the first case is being written
    for _ in range(after):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    done = Store.open(tmp_path / "prepared/3d_fullres")
    assert len(done.ids) < len(cases)
    kept = {case: done.case(case).folder.stat().st_ino for case in done.ids}
    store = prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"]
    assert store.ids == tuple(cases)
    assert all(store.case(case).folder.stat().st_ino == inode for case, inode in kept.items())
    prepare(dataset, plan, tmp_path / "at once")
    assert content(tmp_path / "prepared") == content(tmp_path / "at once")


# -- bounded memory


def test_memory_is_lent_only_while_there_is_some():
    room, lock, now, most = _Room(1e-6), threading.Lock(), [0], []

    def work(amount):
        with room.lent(amount):
            with lock:
                now[0] += amount
                most.append(now[0])
            time.sleep(0.002)
            with lock:
                now[0] -= amount

    threads = [threading.Thread(target=work, args=(100 + 37 * n % 400,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 1000
    assert max(most) > 500  # several at a time


def test_what_needs_more_than_all_memory_goes_alone():
    room = _Room(1e-9)
    with room.lent(1e12):
        pass


def test_a_case_that_fails_gives_its_memory_back():
    room = _Room(1e-6)
    with pytest.raises(DataError), room.lent(1000):
        raise DataError("no scan")
    with room.lent(1000):
        pass


def test_memory_is_known_from_the_header(dataset, plan, configuration_of):
    case = dataset.cases[0]
    finer = plan.but(configurations=plan.configurations | {"3d_fullres": configuration_of((0.5, 0.5, 0.5))})
    little = _bytes_needed(dataset, case, plan, ["3d_fullres"])
    assert little > 14**3 * 4
    assert _bytes_needed(dataset, case, finer, ["3d_fullres"]) > 3 * little


# -- refusals


def test_every_case_that_failed_is_named_and_the_others_are_kept(dataset, plan, tmp_path):
    raw = tmp_path / "raw"
    image = raw / "imagesTr/b_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:300])
    scan = dataset.scan(dataset.cases[3])
    bad = scan.array.copy()
    bad[0, 0, 0, 0] = np.nan
    write_volume(Volume(bad, scan.geometry), raw / "imagesTr/d_0000.nii.gz")
    with pytest.raises(DataError) as caught:
        prepare(dataset, plan, tmp_path / "prepared")
    message = str(caught.value)
    assert "2 of 4 cases could not be prepared" in message
    assert "\n  b: " in message
    assert "\n  d: channel image" in message
    assert "NaN or infinite" in message
    assert f"run again: the others are kept in {tmp_path / 'prepared'}" in message
    assert Store.open(tmp_path / "prepared/3d_fullres").ids == ("a", "c")
    for seed, case in ((1, "b"), (3, "d")):
        write_case_files(raw, case, seed)
    assert prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"].ids == CASES


def test_labels_on_another_grid_are_refused(dataset, plan, tmp_path):
    labels = dataset.labels(dataset.cases[0])
    moved = Geometry(labels.geometry.shape, np.diag([1.0, 1, 1, 1]))
    write_labels(LabelMap(labels.array, moved, labels.schema), dataset.cases[0].labels)
    with pytest.raises(DataError, match=r"  a: .*different grids"):
        prepare(dataset, plan, tmp_path / "prepared")


def test_a_full_disk_is_told_by_case(dataset, plan, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("delineate.preparation.cases.write_case", full)
    with pytest.raises(DataError, match=r"4 of 4 cases .*\n  a: .*No space left on device"):
        prepare(dataset, plan, tmp_path / "prepared")


def test_a_plan_for_other_labels_is_refused(dataset, plan_of, tmp_path):
    plan = plan_of(schema=LabelSchema.of("a", "b", "c"))
    with pytest.raises(PlanError, match=r"the plan was made for other labels: .*Make a new plan"):
        prepare(dataset, plan, tmp_path / "prepared")


def test_an_unknown_configuration_is_refused(dataset, plan, tmp_path):
    with pytest.raises(PlanError, match="no configuration '3d_lowres'"):
        prepare(dataset, plan, tmp_path / "prepared", names=["3d_lowres"])


# -- real data


def test_hippocampus_is_prepared_in_moments(shared_data, plan_of, configuration_of, tmp_path):
    dataset = Dataset.open(shared_data / "hippocampus")
    some = dataset.subset([case.id for case in dataset.cases[:6]])
    plan = plan_of(
        schema=some.schema,
        channels=some.channels,
        configurations={
            "3d_fullres": configuration_of((1.0, 1.0, 1.0), patch=(40, 56, 40)),
            "2d": configuration_of((1.0, 1.0, 1.0), patch=(40, 56, 40), slice_axis=0),
        },
    )
    stores = prepare(some, plan, tmp_path)
    for case in some.cases:
        truth = some.labels(case)
        for store in stores.values():
            stored = store.case(case.id)
            assert stored.classes_present == (1, 2)
            assert stored.image().mean() == pytest.approx(0, abs=1e-5)
            assert stored.image().std() == pytest.approx(1, abs=1e-5)
            back = LabelMap(stored.labels().astype(np.uint8), stored.geometry, truth.schema)
            assert np.array_equal(back.resampled(truth.geometry).array, truth.array)
    assert os.path.getsize(tmp_path / "3d_fullres" / some.cases[0].id / "labels.b2nd") < 10_000  # noqa: PTH202


def test_a_case_that_lacks_a_channel_is_stored_and_says_so(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    for n in range(2):
        scan, labels = balls(rng, size=16)
        for channel in range(1 + n):
            write_volume(scan, folder / "imagesTr" / f"b{n}_{channel:04d}.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"b{n}.nii.gz")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "large": 1, "small": 2}}
    write_json(folder / "dataset.json", about | {"numTraining": 2, "file_ending": ".nii.gz"})
    write_json(folder / "channels.json", {"optional": ["FLAIR"]})
    dataset = Dataset.open(folder)
    plan = make_plan(fingerprint(dataset), device="cpu", steps=2)
    store = prepare(dataset, plan, tmp_path / "prepared")["3d_fullres"]
    lacking, whole = store.case("b0"), store.case("b1")
    assert (lacking.missing, whole.missing) == ((1,), ())
    assert lacking.channels == ("T1", "FLAIR")
    assert not lacking.image()[1].any()
    assert (lacking.record.missing, "missing" in whole.record.to_json()) == (("FLAIR",), False)
    plan = plan.but(training=plan.training.but(channel_dropout=0.9))
    sampler = Sampler.of(plan, "3d_fullres", store, ("b0",), fold=0)
    assert all(sampler.draw(step, 0)[1].absent == (1,) for step in range(20))
