"""A real Orthanc is asked for studies by DICOMweb and by DIMSE: each comes into the queue once, whole."""

import sys
from importlib import util
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from delineate.clinic.archive import Access, look
from delineate.pipeline import find, listen, send
from delineate.pipeline.service import read_service
from delineate.space import Geometry

SPEC = util.spec_from_file_location("real_pacs", Path(__file__).parents[1] / "stories" / "pacs.py")
pacs = util.module_from_spec(SPEC)
sys.modules[SPEC.name] = pacs
SPEC.loader.exec_module(pacs)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not pacs.has_orthanc(), reason="no Orthanc: apt-get install orthanc orthanc-dicomweb"),
    # pynetdicom drops its socket where nobody listens yet
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CONFIG = """
queue = "queue"
send_to = ["pacs"]
archives.pacs.address = "{address}"
{receive}
[[poll]]
archive = "pacs"
query = {{PatientID = "QF-*"}}
[[rules]]
name = "nothing here"
model = "none"
match.modality = ["CT"]
"""
GRID = Geometry((6, 7, 5), np.diag([-8.0, -8.0, 9.0, 1.0]))


def asked(folder, **config):
    """What is told when an archive is asked once."""
    (folder / "listen.toml").write_text(CONFIG.format(**config))
    said = []
    listen(read_service(folder / "listen.toml"), said.append, Event(), once=True)
    return said


@pytest.mark.parametrize("way", ["DIMSE", "DICOMweb"])
def test_studies_of_a_real_orthanc_come_once_and_whole(tmp_path, way):
    pacs.write_head_study(tmp_path / "study", grid=GRID)
    port = pacs.free_port()
    receive = f'[receive]\nport = {port}\ncallers = ["ORTHANC"]'
    with pacs.orthanc(tmp_path / "orthanc", port) as (web, node):
        assert send([tmp_path / "study"], Access(address=web)) == 20
        config = {"address": node, "receive": receive} if way == "DIMSE" else {"address": web, "receive": ""}
        [study] = find("STUDY", ("PatientID=QF-*",), Access(address=config["address"]))
        assert study["NumberOfStudyRelatedInstances"] == "20"
        said = asked(tmp_path, **config)
        assert any(text.endswith("20 files fetched") for text in said)
        assert any("complete, 20 files" in text for text in said)
        assert not any(word in text for text in said for word in ("QF-", "Quillfeather", study["PatientID"]))
        queue = look(tmp_path / "queue")
        assert queue.counts() | {"done": 1} == {s: int(s == "done") for s in queue.counts()}
        kept = sorted(path.read_bytes() for path in (tmp_path / "queue").glob("done/*/*/*.dcm"))
        assert len(kept) == 20
        sent = {path.read_bytes()[-84:] for path in (tmp_path / "study").rglob("*.dcm")}
        assert {content[-84:] for content in kept} == sent  # 6 x 7 pixels of 2 bytes
        again = asked(tmp_path, **config)
        assert not any("fetched" in text for text in again)
        pacs.write_head_study(tmp_path / "more", seed=41, grid=GRID)
        assert send([tmp_path / "more"], Access(address=web)) == 20
        assert sum("20 files fetched" in text for text in asked(tmp_path, **config)) == 1
        assert look(tmp_path / "queue").counts()["done"] == 2


def test_an_orthanc_that_does_not_know_us_is_said_and_nothing_comes(tmp_path):
    pacs.write_head_study(tmp_path / "study", grid=GRID)
    port = pacs.free_port()
    receive = f'[receive]\nport = {port}\ntitle = "STRANGER"\ncallers = ["ORTHANC"]'
    with pacs.orthanc(tmp_path / "orthanc", port) as (web, node):
        send([tmp_path / "study"], Access(address=web))
        said = asked(tmp_path, address=node, receive=receive)
        assert any("C-MOVE to STRANGER" in text for text in said)
        assert sum(look(tmp_path / "queue").counts().values()) == 0
