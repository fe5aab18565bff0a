"""From a PACS to a model and back: a phantom head in a real Orthanc, and a listener that is killed."""

import gc
import signal
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
import pytest

from delineate.clinic import open_series, read_rtstruct, read_seg
from delineate.clinic.archive import Access, NodeArchive, Receive, open_archive, receiver
from delineate.clinic.audit import verify
from delineate.io import read_volume, write_labels, write_volume
from delineate.pipeline import PlanWishes, Unwatched, fetch, find, run, send
from delineate.space import Geometry, Volume
from delineate.space.phantoms import head

pytestmark = [
    pytest.mark.slow,
    # pynetdicom drops its socket where nobody listens yet
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ENDINGS = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}
STRUCTURES = ("necrotic core", "oedema", "enhancing tumour")
PATIENCE_S = 240


@pytest.fixture(scope="module")
def head_model(tmp_path_factory: pytest.TempPathFactory, pacs: ModuleType) -> Path:
    """A model of phantom heads, trained for a moment."""
    folder = tmp_path_factory.mktemp("heads")
    for number in range(8):
        grid = Geometry((18, 22, 18), pacs.head_affine())
        scan, labels = head(np.random.default_rng(number), grid=grid, tumour_mm=26)
        name = f"head_{number:03d}"
        for channel, values in zip(scan.channels, scan.array, strict=True):
            volume = Volume(values[None], scan.geometry, (channel,))
            write_volume(volume, folder / "data" / name / f"{name}_{ENDINGS[channel]}.nii.gz")
        write_labels(labels, folder / "data" / name / f"{name}_seg.nii.gz")
    run(folder / "data", folder / "run", PlanWishes(steps=20), Unwatched())
    return folder / "run" / "model"


def write_config(folder, text):
    (folder / "listen.toml").write_text(text)
    return folder / "listen.toml"


def test_a_head_goes_from_the_archive_to_a_model_and_its_tumour_comes_back(
    pacs, head_model, terminal, tmp_path
):
    if not pacs.has_orthanc():
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    pacs.write_head_study(tmp_path / "study")
    port = pacs.free_port()
    with pacs.orthanc(tmp_path / "orthanc", port) as (web, node):
        config = write_config(
            tmp_path,
            f"""
queue = "queue"
send_to = ["by_store", "by_stow"]
complete = {{quiet_s = 60, images = 72}}
archives.by_store.address = "{node}"
archives.by_stow.address = "{web}"
[receive]
port = {port}
callers = ["ORTHANC"]
{pacs.rules(head_model)}""",
        )
        assert send([tmp_path / "study"], Access(address=web)) == 72
        [study] = find("STUDY", ("PatientID=QF-*",), Access(address=node))
        uid = study["StudyInstanceUID"]
        archive = open_archive(Access(address=node, tries=100, wait_s=0.2))
        asked = threading.Thread(target=moved, args=(archive, uid))
        asked.start()
        done = tmp_path / "queue" / "done"
        ended = terminal.ended(["listen", config], signal.SIGTERM, lambda _: any(done.glob("*/")))
        asked.join()
        assert ended.returncode == 0, ended.stderr
        assert pacs.PATIENT_ID not in ended.stderr + (tmp_path / "queue" / "audit.jsonl").read_text()
        assert verify(tmp_path / "queue" / "audit.jsonl").ok
        series = find("SERIES", (f"StudyInstanceUID={uid}",), Access(address=web))
        results = {each["Modality"]: each for each in series if each["Modality"] != "MR"}
        assert sorted(results) == ["RTSTRUCT", "SEG", "SR"]  # both ways sent the same objects
        assert [each["NumberOfSeriesRelatedInstances"] for each in results.values()] == ["1", "1", "1"]
        assert fetch(uid, None, tmp_path / "back", Access(address=web)) == 75
    check_results(tmp_path, done)


def moved(archive, uid):
    """Asks for the study again and again until somebody listens."""
    for _ in range(PATIENCE_S):
        try:
            archive.move(uid, None, "DELINEATE")
        except Exception:  # noqa: BLE001 - not yet
            time.sleep(1)
        else:
            return


def check_results(folder, done):
    """What came back is on the slices of the T1c, and voxel by voxel what the model found."""
    files = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in (folder / "back").iterdir()}
    slices = folder / "t1c"
    slices.mkdir()
    for path, header in files.items():
        if header.Modality == "MR" and header.SeriesDescription.startswith("T1c "):
            path.rename(slices / path.name)
    series = open_series(slices)
    found = {header.Modality: path for path, header in files.items() if header.Modality != "MR"}
    [labels] = done.glob("*/results/0.nii.gz")
    wanted = read_volume(labels).array[0]
    segments, contours = read_seg(found["SEG"], series), read_rtstruct(found["RTSTRUCT"], series)
    assert wanted.any()
    grid = read_volume(labels).geometry
    for value, name in enumerate(STRUCTURES, 1):
        mask = segments.mask(name)
        assert np.array_equal(mask, on(series, grid, wanted == value))
        if name in [structure.name for structure in contours.structures]:
            assert np.array_equal(contours.mask(name), mask)
    header = files[found["SEG"]]
    assert header.ReferencedSeriesSequence[0].SeriesInstanceUID == series.uid
    assert header.PatientID == "QF-20077"
    frames = files[found["RTSTRUCT"]].ReferencedFrameOfReferenceSequence[0]
    referred = frames.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert referred.SeriesInstanceUID == series.uid
    there = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in slices.iterdir()}
    assert {str(item.ReferencedSOPInstanceUID) for item in referred.ContourImageSequence} == there


def on(series, grid, mask):
    """A mask on the grid of the labels, on the slices of a series."""
    index = np.stack(np.meshgrid(*map(np.arange, series.grid_shape), indexing="ij"), axis=-1).reshape(-1, 3)
    places = np.rint(grid.to_index(series.geometry.to_world(index.astype(float)))).astype(int)
    return mask[tuple(places.T)].reshape(series.grid_shape)


MARKS = (  # a listener is killed when this exists in its queue
    "incoming/*/*/*.dcm",
    "ready/*",
    "working/*",
    "working/*/results/0.nii.gz",
    "working/*/results/0/delivery.json",
    "made/*",
)


def test_a_listener_that_is_killed_again_and_again_loses_nothing_and_sends_nothing_twice(
    pacs, head_model, terminal, tmp_path
):
    pacs.write_head_study(tmp_path / "study")
    files = sorted((tmp_path / "study").rglob("*.dcm"))
    arrived: list[bytes] = []
    port, queue = pacs.free_port(), tmp_path / "queue"
    ours = Receive(port=0, title="PACS", callers=("DELINEATE",))
    with receiver(ours, lambda content, caller: slowly(arrived, content)) as there:
        config = write_config(
            tmp_path,
            f"""
queue = "queue"
send_to = ["pacs"]
complete = {{quiet_s = 600, images = 72}}
retry = {{interruptions = 50, wait_s = 0}}
archives.pacs.address = "PACS@127.0.0.1:{there}"
[receive]
port = {port}
callers = ["SCANNER"]
{pacs.rules(head_model)}""",
        )
        scanner = Access(address=f"DELINEATE@127.0.0.1:{port}", called="SCANNER", tries=500, wait_s=0.2)
        sender = threading.Thread(target=NodeArchive(scanner, sleep=briefly).send, args=(files,), daemon=True)
        sender.start()
        for mark in MARKS:
            done = terminal.ended(
                ["listen", config], signal.SIGKILL, lambda _, mark=mark: any(queue.glob(mark)) or gone(queue)
            )
            assert done.returncode == -signal.SIGKILL, done.stderr
        done = terminal.ended(["listen", config], signal.SIGKILL, lambda _: len(arrived) >= 1)
        assert done.returncode == -signal.SIGKILL, done.stderr
        sender.join(timeout=PATIENCE_S)
        assert not sender.is_alive()
        done = terminal.run("listen", config, "--once")
        assert done.returncode == 0, done.stderr
    states = {
        state: len(list((queue / state).glob("*/"))) for state in ("incoming", "ready", "working", "dead")
    }
    assert not any(states.values())
    kept = {path.name: path.read_bytes() for path in queue.glob("done/*/*/*.dcm")}
    assert len(kept) == len(files)  # every image was kept whole
    sent = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)) for content in arrived]
    assert len({item.SOPInstanceUID for item in sent}) == 3
    assert {item.Modality for item in sent} == {"SEG", "RTSTRUCT", "SR"}
    assert len({item.SeriesInstanceUID for item in sent}) == 3
    assert verify(queue / "audit.jsonl").ok


KILLS = 8


def test_a_listener_that_is_killed_at_random_moments_loses_nothing(pacs, head_model, terminal, tmp_path):
    """Two heads and a study that cannot be used; SIGKILL eight times, whatever it does at that moment."""
    for name, seed in (("one", 40), ("two", 41), ("crooked", 42)):
        pacs.write_head_study(tmp_path / name, seed=seed)
    for path in (tmp_path / "crooked" / "T1c").iterdir():  # a slice of another size: no volume
        if path.stem == "007":
            item = pydicom.dcmread(path)
            item.PixelSpacing = [1, 1]
            item.save_as(path)
    files = [path for name in ("one", "two", "crooked") for path in sorted((tmp_path / name).rglob("*.dcm"))]
    arrived: list[bytes] = []
    rng, port, queue = np.random.default_rng(6), pacs.free_port(), tmp_path / "queue"
    ours = Receive(port=0, title="PACS", callers=("DELINEATE",))
    with receiver(ours, lambda content, caller: slowly(arrived, content)) as there:
        config = write_config(
            tmp_path,
            f"""
queue = "queue"
send_to = ["pacs"]
complete = {{quiet_s = 600, images = 72}}
retry = {{interruptions = 50, wait_s = 0}}
archives.pacs.address = "PACS@127.0.0.1:{there}"
[receive]
port = {port}
callers = ["SCANNER"]
{pacs.rules(head_model)}""",
        )
        scanner = Access(address=f"DELINEATE@127.0.0.1:{port}", called="SCANNER", tries=5000, wait_s=0.2)
        sender = threading.Thread(target=NodeArchive(scanner, sleep=briefly).send, args=(files,), daemon=True)
        sender.start()
        said = ""
        for moment in rng.uniform(1.0, 10.0, KILLS):
            done = terminal.ended(["listen", config], signal.SIGKILL, lambda s, moment=moment: s > moment)
            assert done.returncode == -signal.SIGKILL, done.stderr
            said += done.stderr
        if sender.is_alive():
            done = terminal.ended(["listen", config], signal.SIGTERM, lambda _: not sender.is_alive())
            assert done.returncode == 0, done.stderr
        done = terminal.run("listen", config, "--once")
        assert done.returncode == 0, done.stderr
    found = {state: sorted((queue / state).glob("*/")) for state in ("incoming", "ready", "working", "dead")}
    reasons = [(path / "reason.json").read_text() for path in found["dead"]]
    assert not any(found[state] for state in ("incoming", "ready", "working")), found
    assert reasons  # one or more: an image that was stored but not acknowledged comes again, as a visit
    assert all("PixelSpacing" in reason or "pixel spacing" in reason for reason in reasons), reasons
    kept = [path for state in ("done", "dead") for path in queue.glob(f"{state}/*/*/*.dcm")]
    assert {pydicom.dcmread(path).SOPInstanceUID for path in kept} == {
        pydicom.dcmread(path).SOPInstanceUID for path in files
    }  # every image was kept, whole
    sent = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)) for content in arrived]
    by_uid = {item.SOPInstanceUID: item.Modality for item in sent}
    assert sorted(by_uid.values()) == ["RTSTRUCT", "RTSTRUCT", "SEG", "SEG", "SR", "SR"]
    assert len({item.SeriesInstanceUID for item in sent}) == 6  # what was sent twice was the same object
    assert verify(queue / "audit.jsonl").ok
    assert pacs.PATIENT_ID not in said + done.stderr + (queue / "audit.jsonl").read_text()


@pytest.fixture(autouse=True)
def sockets_of_attempts():
    """Sockets that pynetdicom dropped are gone before the next test, which would be told of them."""
    yield
    gc.collect()


def slowly(arrived, content):
    """Takes its time, so that a kill may come meanwhile."""
    arrived.append(content)
    time.sleep(0.3)


def briefly(seconds):
    time.sleep(min(seconds, 0.2))


def gone(queue):
    """Whether the moment was missed: the study is done."""
    return any(queue.glob("done/*/study.json"))
