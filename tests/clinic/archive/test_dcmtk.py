"""dcmtk's programs and ours understand each other: what one sends the other has, pixel by pixel."""

import shutil
import socket
import subprocess
import time

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO

from delineate.clinic.archive import Access, NodeArchive, Receive, receiver

pytestmark = [
    pytest.mark.skipif(shutil.which("storescu") is None, reason="no dcmtk: apt-get install dcmtk"),
    # pynetdicom drops its socket where nobody listens yet
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_storescu_and_echoscu_reach_us_by_name_only(file):
    arrived, ours = [], Receive(port=0, callers=("DCMTK",))
    with receiver(ours, lambda content, caller: arrived.append((content, caller))) as port:
        there = ["127.0.0.1", str(port)]
        known = ["-aet", "DCMTK", "-aec", "DELINEATE"]
        stranger = ["storescu", "-aet", "STRANGER", "-aec", "DELINEATE", *there, file]
        assert subprocess.run(stranger, capture_output=True, check=False).returncode != 0
        assert subprocess.run(["echoscu", *known, *there], check=False).returncode == 0
        assert subprocess.run(["storescu", *known, *there, file], check=False).returncode == 0
        time.sleep(0.3)  # a link that is being closed must not be closed again (pynetdicom 3.0)
    [(content, caller)] = arrived
    assert caller == "DCMTK"
    came, sent = pydicom.dcmread(DicomBytesIO(content)), pydicom.dcmread(file)
    assert (came.SOPInstanceUID, came.PixelData) == (sent.SOPInstanceUID, sent.PixelData)


def test_what_we_send_reaches_storescp(file, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    out = tmp_path / "out"
    out.mkdir()
    with subprocess.Popen(["storescp", "-aet", "THEIRS", "-od", out, str(port)]) as process:
        try:
            archive = NodeArchive(
                Access(address=f"THEIRS@127.0.0.1:{port}", tries=50, wait_s=0.1), sleep=pause
            )
            archive.check()
            archive.send([file])
        finally:
            process.terminate()
    [there] = out.iterdir()
    assert pydicom.dcmread(there).PixelData == pydicom.dcmread(file).PixelData


def pause(seconds):
    time.sleep(min(seconds, 0.1))
