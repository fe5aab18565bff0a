"""Cluster: cases divided among the workers of a Dask cluster, one case a task.

Results are the files that one machine would write. A worker that dies loses the case that it had in hand,
which another begins anew; when the command itself is stopped, the same command goes on from there. Only so
many cases are with the scheduler at a time, so that a million of them need no memory there.

Whoever can speak to a scheduler can run code on its workers: see how `tls://` keeps others out.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from delineate.dataset.incoming import incoming
from delineate.errors import ArchiveError, DataError, MissingPackage, ModelError
from delineate.io.disk import sweep_of
from delineate.pipeline.cluster_work import Answer, CaseJob, ScanJob, prepare_one, segment_scan
from delineate.pipeline.run_folder import Run
from delineate.pipeline.scans import (
    degraded_file,
    gates_file,
    outputs,
    probabilities_file,
    refuse_failed,
    refuse_objects,
)
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import SegmentWishes

if TYPE_CHECKING:
    from distributed import Client, Security

Job = TypeVar("Job", ScanJob, CaseJob)

PATIENCE_S = 30.0  # with a scheduler, and for a first worker
AHEAD = 64  # cases with the scheduler, besides four per thread of the workers
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True)
class Cluster:
    """Where a Dask scheduler is.

    address  tcp://HOST:PORT, or tls://HOST:PORT with
    tls      a folder with ca.pem, cert.pem and key.pem
    """

    address: str
    tls: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if (
            parts.scheme not in ("tcp", "tls")
            or not parts.hostname
            or not parts.netloc.rpartition(":")[2].isdigit()
        ):
            raise DataError(
                f"{self.address}: is no address of a scheduler; expected tcp://HOST:PORT or tls://HOST:PORT."
            )
        if (parts.scheme == "tls") != (self.tls is not None):
            raise DataError(
                f"{self.address}: an encrypted connection needs both tls:// and the folder of the keys."
            )
        missing = [name for name in TLS_FILES if self.tls is not None and not (self.tls / name).is_file()]
        if missing:
            raise DataError(f"{self.tls}: has no {', '.join(missing)}; expected {', '.join(TLS_FILES)}.")

    @property
    def is_open(self) -> bool:
        """Whether others may listen, and speak: neither encrypted nor on this machine alone."""
        host = urlsplit(self.address).hostname or ""
        try:
            own = ipaddress.ip_address(host).is_loopback
        except ValueError:
            own = host == "localhost"
        return self.tls is None and not own


def segment_on(
    cluster: Cluster, model: Path, scans: Sequence[Path], out: Path, how: SegmentWishes, watch: Watch
) -> tuple[Path, ...]:
    """Writes labels for scans as `segment` does, by the workers of a cluster, and returns the files.

    What is there, made from the same scan, model and wishes by an earlier call, is kept. The device "auto"
    is each worker's own; then nothing is mirrored unless it is asked for, so that all do the same.
    """
    from delineate.networks import Model

    how = replace(how, mirror=bool(how.mirror)) if how.device == "auto" else how
    with watch.stage("open the model"):
        opened = Model.open(model)
    if opened.plan.finds_objects:
        raise ModelError(
            f"{model}: finds single objects; such a model runs on one machine: leave out --cluster."
        )
    refuse_objects(model, how)
    channels = tuple(channel.name for channel in opened.plan.channels)
    cases = incoming([path.absolute() for path in scans], channels, opened.plan.dispensable)
    files = outputs(cases, out.absolute())
    jobs = (
        ScanJob(
            case=case.id,
            images=tuple(None if image is None else str(image) for image in case.images),
            labels=str(files[case.id]),
            model=str(model.absolute()),
            digest=opened.manifest.digest(),
            how=how,
        )
        for case in cases
    )
    failed = _done(cluster, segment_scan, jobs, len(cases), "segment", watch)
    beside = (probabilities_file, degraded_file, gates_file)
    sweep_of([*files.values(), *(name(file) for file in files.values() for name in beside)])
    refuse_failed(failed, len(cases))
    return tuple(files.values())


def prepare_on(cluster: Cluster, folder: Path, watch: Watch) -> None:
    """Writes the network-ready arrays of every case as `prepare` does, by the workers of a cluster."""
    from delineate.preparation import cases

    run, token = Run.open(folder.absolute()), uuid.uuid4().hex
    with run.locked():
        dataset, plan = run.dataset(), run.plan()
        cases.swept(dataset, plan, run.prepared)
        jobs = (CaseJob(case.id, str(run.folder), token) for case in dataset.cases)
        failed = _done(cluster, prepare_one, jobs, len(dataset.cases), "prepare", watch)
        cases.swept(dataset, plan, run.prepared)  # what workers left that died
        cases.refuse_failed(failed, len(dataset.cases), run.prepared)


def _done(
    cluster: Cluster,
    work: Callable[[Job], Answer],
    jobs: Iterable[Job],
    count: int,
    title: str,
    watch: Watch,
) -> dict[str, str]:
    """Does all jobs; why some could not be done, by case."""
    if cluster.is_open:
        watch.say(f"{cluster.address}: not encrypted; whoever reaches it can run programs there")
    failed: dict[str, str] = {}
    kept = 0
    with _connected(cluster, watch) as client, watch.stage(title) as progress:
        for number, answer in enumerate(_answers(client, work, jobs), 1):
            progress(number, count, answer.case)
            kept += answer.kept
            for text in answer.said:
                watch.say(text)
            if answer.failed is not None:
                failed[answer.case] = answer.failed
    if kept:
        watch.say(f"{kept} of {count} were there already")
    return failed


def _answers(client: Client, work: Callable[[Job], Answer], jobs: Iterable[Job]) -> Iterator[Answer]:
    """The answers as they come; a few jobs are with the scheduler at a time."""
    from distributed import as_completed

    waiting, cases = iter(jobs), {}

    def submitted(job: Job) -> Any:
        future = client.submit(work, job, pure=False)
        cases[future.key] = job.case
        return future

    threads = sum(client.nthreads().values())
    first = [submitted(job) for job in islice(waiting, AHEAD + 4 * threads)]
    done = as_completed(first, loop=client.loop)
    for future in done:
        case = cases.pop(future.key)
        error = future.exception() if future.status != "finished" else None
        yield future.result() if error is None else Answer(case, _words(error))
        done.update([submitted(job) for job in islice(waiting, 1)])


def _words(error: BaseException) -> str:
    """Why Dask could not get a case done."""
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return "every worker that tried it died: it may need more memory than they have"
    return f"{type(error).__name__}: {error}"


@contextmanager
def _connected(cluster: Cluster, watch: Watch) -> Iterator[Client]:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise MissingPackage(
            "a cluster needs Dask, which is not installed:  pip install 'delineate[cluster]'"
        ) from None
    try:
        client = Client(
            cluster.address, timeout=PATIENCE_S, set_as_default=False, security=_security(cluster)
        )
    except (OSError, TimeoutError) as error:
        raise ArchiveError(
            f"{cluster.address}: no scheduler answers ({error}). Start one with:  dask scheduler"
        ) from None
    with client:
        with watch.stage("wait for a worker"):
            try:
                client.wait_for_workers(1, timeout=PATIENCE_S)
            except TimeoutError:
                raise ArchiveError(
                    f"{cluster.address}: no worker has joined in {PATIENCE_S:.0f} s. Start some with:  "
                    f"dask worker {cluster.address} --nthreads 1"
                ) from None
        yield client


def _security(cluster: Cluster) -> Security | None:
    if cluster.tls is None:
        return None
    from distributed import Security

    ca, cert, key = (str(cluster.tls / name) for name in TLS_FILES)
    return Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
