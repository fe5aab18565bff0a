"""The page that compares overlap, form and volume with other tools is what its script writes."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "reference" / "overlap_and_volume.py"


def test_the_page_of_peers_is_what_its_script_writes():
    made = runpy.run_path(str(SCRIPT))
    assert made["PAGE"].read_text() == made["page"](), (
        "write it anew:  python docs/reference/overlap_and_volume.py"
    )


def test_no_number_of_a_peer_is_far_from_ours():
    made = runpy.run_path(str(SCRIPT))
    for measure, tool, apart in (*made["_overlap"](), *made["_shapes"](), *made["_volumes"]()):
        assert max(apart) < (0.005 if "odd width" in measure else 1e-9), (measure, tool)
