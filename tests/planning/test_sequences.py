import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import PlanError, RecordError
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.planning import fingerprint, make_plan
from delineate.planning.plan import Plan
from delineate.space import Volume
from delineate.space.phantoms import balls


@pytest.fixture(scope="module")
def two_sequences(tmp_path_factory):
    """Three cases of T1 and FLAIR; the first has no FLAIR."""
    folder = tmp_path_factory.mktemp("two")
    for n in range(3):
        scan, labels = balls(np.random.default_rng(n), size=16)
        for channel in range(1 if n == 0 else 2):
            array = scan.array * (1 + channel)
            write_volume(Volume(array, scan.geometry), folder / "imagesTr" / f"b{n}_{channel:04d}.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"b{n}.nii.gz")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "large": 1, "small": 2}}
    write_json(folder / "dataset.json", about | {"numTraining": 3, "file_ending": ".nii.gz"})
    write_json(folder / "channels.json", {"optional": ["FLAIR"]})
    return fingerprint(Dataset.open(folder))


def test_a_channel_is_measured_on_the_cases_that_have_it(two_sequences):
    ranges = [case.ranges[1] for case in two_sequences.cases]
    assert ranges[0] is None
    assert ranges[1].maximum == pytest.approx(2 * two_sequences.cases[1].ranges[0].maximum)
    assert (two_sequences.lacking(0), two_sequences.lacking(1)) == (0, 1)
    halves = two_sequences.intensities(0), two_sequences.intensities(1)
    assert halves[1].maximum == pytest.approx(
        2 * max(case.ranges[0].high for case in two_sequences.cases[1:]), rel=1e-6
    )
    again = type(two_sequences).from_json(two_sequences.to_json(), where="test")
    assert again == two_sequences


def test_what_cases_lack_a_scan_may_lack_and_the_reason_counts_them(two_sequences):
    plan = make_plan(two_sequences, device="cpu", steps=10)
    assert (plan.may_lack, plan.dispensable) == (("FLAIR",), ("FLAIR",))
    assert plan.reasons["may_lack"].startswith("declared optional, and 1 of 3 lack FLAIR")
    assert plan.training.channel_dropout == 0
    assert Plan.from_json(plan.to_json(), where="test") == plan


def test_with_dropout_a_scan_may_lack_any_channel(two_sequences):
    plan = make_plan(two_sequences, device="cpu", steps=10, channel_dropout=0.25)
    assert plan.dispensable == ("T1", "FLAIR")
    assert "with a chance of 0.25, never the last one" in plan.reasons["training.channel_dropout"]


def test_whole_stacks_leave_the_plan_as_it_was(two_sequences):
    whole = two_sequences.but(
        cases=two_sequences.cases[1:],
    )
    plan = make_plan(whole, device="cpu", steps=10)
    assert plan.dispensable == ()
    assert "may_lack" not in plan.to_json()


def test_dropout_that_cannot_be_is_refused(two_sequences):
    with pytest.raises(PlanError, match="channel_dropout is a share of at least 0 and below 1, got 1"):
        make_plan(two_sequences, device="cpu", steps=10, channel_dropout=1.0)
    single = two_sequences.but(
        channels=("T1",),
        foreground=two_sequences.foreground[:1],
        cases=tuple(case.but(ranges=case.ranges[:1]) for case in two_sequences.cases),
    )
    with pytest.raises(PlanError, match="the scans have one channel, T1: it cannot be dropped"):
        make_plan(single, device="cpu", steps=10, channel_dropout=0.2)


def test_a_plan_that_may_lack_what_is_no_channel_is_refused(two_sequences):
    text = make_plan(two_sequences, device="cpu", steps=10).to_json().replace('["FLAIR"]', '["PD"]')
    with pytest.raises(RecordError, match="may_lack names PD, which is no channel"):
        Plan.from_json(text, where="plan.json")
