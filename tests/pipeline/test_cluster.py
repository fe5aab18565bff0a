"""A scheduler and two workers on this machine; one of them is killed at work."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import ArchiveError, DataError, MissingPackage, ModelError
from delineate.io import read_label_values
from delineate.io.disk import is_partial
from delineate.pipeline import (
    Cluster,
    PlanWishes,
    Run,
    SegmentWishes,
    Unwatched,
    plan,
    prepare_on,
    segment,
    segment_on,
)
from delineate.preparation import Store

HERE = "tcp://127.0.0.1"


class Words(Unwatched):
    """Remembers what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@dataclass
class Machines:
    """A scheduler and its workers, as processes."""

    address: str
    workers: list[subprocess.Popen]


def started(words: list[str], log: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with log.open("wb") as output:
        return subprocess.Popen([sys.executable, "-m", *words], stdout=output, stderr=output, env=environment)


def said(log: Path, pattern: str) -> str:
    """What a process says in its log, waited for."""
    for _ in range(3000):
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"{log}: never said {pattern}:\n{log.read_text(errors='replace')}")


@contextmanager
def machines(folder: Path, count: int, keys: Path | None = None) -> Iterator[Machines]:
    folder.mkdir(parents=True, exist_ok=True)
    files = ("tls-ca-file", "ca"), ("tls-cert", "cert"), ("tls-key", "key")
    tls = [] if keys is None else [word for o, n in files for word in (f"--{o}", str(keys / f"{n}.pem"))]
    processes = []
    try:
        log = folder / "scheduler.log"
        plain = ["--host", "127.0.0.1", "--no-dashboard"]
        words = ["distributed.cli.dask_scheduler", "--port", "0", *plain, *tls]
        words += ["--protocol", "tls"] if tls else []
        processes.append(started(words, log))
        address = said(log, r"Scheduler at:\s+(t\w\w://\S+)")
        for number in range(count):
            words = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", *plain, *tls]
            words += ["--local-directory", str(folder / f"worker_{number}")]
            processes.append(started(words, folder / f"worker_{number}.log"))
        for number in range(count):
            said(folder / f"worker_{number}.log", r"(Registered to)")
        yield Machines(address, processes[1:])
    finally:
        for process in processes:
            process.kill()
            process.wait()


def write_scans(folder: Path, balls_folder: Path, count: int) -> Path:
    """Copies of a few scans under many names."""
    folder.mkdir(parents=True)
    scans = sorted((balls_folder / "imagesTr").iterdir())
    for number in range(count):
        shutil.copy(scans[number % len(scans)], folder / f"scan_{number:03d}.nii.gz")
    return folder


@pytest.mark.slow
def test_scans_are_divided_and_a_killed_worker_loses_nothing(tmp_path, finished, balls_folder):
    scans, out = write_scans(tmp_path / "scans", balls_folder, 40), tmp_path / "out"
    model, how, watch = finished / "model", SegmentWishes(), Words()
    alone = segment(model, [scans], tmp_path / "alone", how, Unwatched())

    class Killing(Words):
        """Kills a worker once some labels are there."""

        @contextmanager
        def stage(self, title):
            def progress(done, total, what):
                if title == "segment" and done == 5:
                    there.workers[0].send_signal(signal.SIGKILL)

            yield progress

    with machines(tmp_path / "cluster", 2) as there:
        files = segment_on(Cluster(there.address), model, [scans], out, how, Killing())
        assert there.workers[0].wait(30) == -signal.SIGKILL
        assert len(files) == 40
        assert not [path for path in out.iterdir() if is_partial(path)]
        for mine, other in zip(files, alone, strict=True):
            assert np.array_equal(read_label_values(mine).array, read_label_values(other).array)
        before = {file: file.stat().st_mtime_ns for file in files}
        (files[0]).unlink()
        again = segment_on(Cluster(there.address), model, [scans], out, how, watch)
        assert again == files
        changed = [file for file in files if file.stat().st_mtime_ns != before[file]]
        assert changed == [files[0]]
        assert "39 of 40 were there already" in watch.said
        (scans / "bad.nii.gz").write_bytes(b"no scan")
        with pytest.raises(DataError, match=r"(?s)1 of 41 cases could not be segmented.*bad\.nii\.gz"):
            segment_on(Cluster(there.address), model, [scans], out, how, watch)


@pytest.mark.slow
def test_cases_are_prepared_by_command_and_a_killed_worker_loses_nothing(tmp_path, balls_folder):
    folder = tmp_path / "run"
    plan(balls_folder, folder, PlanWishes(steps=2), Unwatched())
    with machines(tmp_path / "cluster", 2) as there:
        there.workers[1].send_signal(signal.SIGKILL)  # before, or while, it has its first case
        done = CliRunner().invoke(app, ["prepare", str(folder), "--cluster", there.address])
        assert done.exit_code == 0, done.output
        run = Run.open(folder)
        (store,) = run.prepared.iterdir()
        assert sorted(Store.open(store).ids) == sorted(run.dataset().ids)
        assert not [path for path in run.prepared.rglob("*") if is_partial(path)]
        times = {path: path.stat().st_mtime_ns for path in run.prepared.rglob("*.json")}
        prepare_on(Cluster(there.address), folder, Unwatched())
        assert {path: path.stat().st_mtime_ns for path in times} == times
        (balls_folder_copy(balls_folder, tmp_path) / "imagesTr" / "ball_03_0000.nii.gz").write_bytes(b"no")
        other = tmp_path / "other"
        shutil.copytree(folder, other)
        broken(other, tmp_path / "copy")
        with pytest.raises(DataError, match=r"(?s)1 of 10 cases could not be prepared.*ball_03"):
            prepare_on(Cluster(there.address), other, Unwatched())


def balls_folder_copy(balls_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(balls_folder, tmp_path / "copy", dirs_exist_ok=True))


def broken(folder: Path, dataset: Path) -> None:
    """A run on a dataset in which a file is no scan, as if it had been so from the start."""
    from delineate.dataset import Dataset
    from delineate.pipeline.run_folder import signatures

    run = Run(folder)
    record = run.record().but(dataset=str(dataset), cases=signatures(Dataset.open(dataset)))
    run.save("run.json", record)


@pytest.mark.parametrize("address", ["10.0.0.1:8786", "http://10.0.0.1:8786", "tcp://10.0.0.1", "tcp://:80"])
def test_an_address_says_how_where_and_on_which_port(address):
    with pytest.raises(DataError, match=r"is no address of a scheduler; expected tcp://HOST:PORT or tls://"):
        Cluster(address)


def test_keys_and_encryption_belong_together(tmp_path):
    for address, tls in (("tls://10.0.0.1:8786", None), ("tcp://10.0.0.1:8786", tmp_path)):
        with pytest.raises(DataError, match="needs both tls:// and the folder of the keys"):
            Cluster(address, tls)
    (tmp_path / "ca.pem").touch()
    with pytest.raises(DataError, match=r"has no cert\.pem, key\.pem; expected ca\.pem, cert\.pem, key\.pem"):
        Cluster("tls://10.0.0.1:8786", tmp_path)


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://127.0.0.1:1", False),
        ("tcp://localhost:1", False),
        ("tcp://[::1]:1", False),
        ("tcp://10.0.0.1:1", True),
        ("tcp://node7:1", True),
    ],
)
def test_an_open_connection_is_known_as_such(address, is_open):
    assert Cluster(address).is_open is is_open


def test_keys_make_a_connection_encrypted(tmp_path):
    from delineate.pipeline.cluster import TLS_FILES, _security

    for name in TLS_FILES:
        (tmp_path / name).touch()
    cluster = Cluster("tls://10.0.0.1:8786", tmp_path)
    assert not cluster.is_open
    security = _security(cluster)
    assert security.require_encryption
    assert security.tls_client_key == str(tmp_path / "key.pem")


def test_a_missing_package_is_named(tmp_path, monkeypatch, finished, balls_folder):
    monkeypatch.setitem(sys.modules, "distributed", None)
    there, model = Cluster("tcp://127.0.0.1:1"), finished / "model"
    with pytest.raises(MissingPackage, match=r"pip install 'delineate\[cluster\]'"):
        segment_on(there, model, [balls_folder], tmp_path / "out", SegmentWishes(), Words())


def test_wishes_for_objects_are_refused_as_on_one_machine(tmp_path, finished, balls_folder):
    there, how = Cluster("tcp://127.0.0.1:1"), SegmentWishes(sure=0.7)
    with pytest.raises(DataError, match="finds no single objects"):
        segment_on(there, finished / "model", [balls_folder], tmp_path / "out", how, Words())


def test_a_model_of_objects_runs_on_one_machine(tmp_path, monkeypatch, finished, balls_folder):
    monkeypatch.setattr("delineate.planning.Plan.finds_objects", True)
    there = Cluster("tcp://127.0.0.1:1")
    with pytest.raises(ModelError, match="finds single objects; such a model runs on one machine"):
        segment_on(there, finished / "model", [balls_folder], tmp_path / "out", SegmentWishes(), Words())


@pytest.fixture
def make_keys(tmp_path):
    """Makes a folder with a key, a certificate for it, and itself as the authority."""

    def made(name):
        folder = tmp_path / name
        folder.mkdir()
        words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        subprocess.run(["openssl", *words.split(), *files], capture_output=True, check=True)
        shutil.copy(folder / "cert.pem", folder / "ca.pem")
        return folder

    return made


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here to make certificates with")
def test_who_has_no_key_is_not_spoken_with(tmp_path, monkeypatch, finished, balls_folder, make_keys):
    keys, others = make_keys("keys"), make_keys("others")
    scan = [balls_folder / "imagesTr" / "ball_02_0000.nii.gz"]
    model, how, out = finished / "model", SegmentWishes(), tmp_path / "out.nii.gz"
    with machines(tmp_path / "cluster", 1, keys) as there:
        assert segment_on(Cluster(there.address, keys), model, scan, out, how, Words()) == (out,)
        assert out.is_file()
        monkeypatch.setattr("delineate.pipeline.cluster.PATIENCE_S", 2.0)
        for stranger in (Cluster(there.address, others), Cluster(there.address.replace("tls", "tcp"))):
            with pytest.raises(ArchiveError, match="no scheduler answers"):
                segment_on(stranger, model, scan, tmp_path / "stolen.nii.gz", how, Words())
    assert not (tmp_path / "stolen.nii.gz").exists()


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_and_workers_that_never_come_are_said(
    tmp_path, monkeypatch, finished, balls_folder
):
    monkeypatch.setattr("delineate.pipeline.cluster.PATIENCE_S", 1.0)
    model, how = finished / "model", SegmentWishes()
    with pytest.raises(ArchiveError, match=r"tcp://127\.0\.0\.1:1: no scheduler answers"):
        segment_on(Cluster("tcp://127.0.0.1:1"), model, [balls_folder], tmp_path / "out", how, Words())
    with (
        machines(tmp_path / "cluster", 0) as there,
        pytest.raises(ArchiveError, match="no worker has joined"),
    ):
        segment_on(Cluster(there.address), model, [balls_folder], tmp_path / "out", how, Words())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["segment", "model", "scan", "-o", "x", "--cluster-tls", "keys"], "say which one with --cluster"),
        (["prepare", "run", "--cluster", "tcp://127.0.0.1:1", "--workers", "2"], "leave out --workers"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(words, why):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert why in " ".join(done.output.split())
