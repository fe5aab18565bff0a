import pytest

from delineate.errors import PlanError
from delineate.planning.intensity import normalized


def found(fingerprint_of, *channels, kept=1.0, low=-50.0, high=200.0):
    return fingerprint_of(
        [(50, 50, 50)] * 3,
        (1, 1, 1),
        channels=channels,
        kept=kept,
        intensities=[(low, high, 40.0, 60.0)] * len(channels),
    )


@pytest.mark.parametrize("name", ["CT", "ct", "Ct"])
def test_ct_is_clipped_and_scaled_by_the_numbers_of_the_dataset(name, fingerprint_of):
    channel, why = normalized(found(fingerprint_of, name), 0)
    rule = channel.normalization
    assert channel.name == name
    assert (rule.rule, rule.low, rule.high, rule.mean, rule.sd) == ("ct", -50, 200, 40, 60)
    assert not rule.masked
    assert "-50 .. 200" in why


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("noNorm", "none"),
        ("zscore", "zscore"),
        ("rescale_to_0_1", "unit"),
        ("rgb_to_0_1", "rgb"),
        ("MRI", "zscore"),
    ],
)
@pytest.mark.parametrize("kept", [1.0, 0.5])
def test_the_name_of_a_channel_decides(name, rule, kept, fingerprint_of):
    channel, why = normalized(found(fingerprint_of, name, kept=kept), 0)
    assert channel.normalization.rule == rule
    assert channel.normalization.masked == (rule == "zscore" and kept < 0.75)
    assert why.startswith(f"'{name}': ")


def test_a_border_of_a_quarter_of_the_scan_is_the_limit(fingerprint_of):
    def masked(kept):
        return normalized(found(fingerprint_of, "MRI", kept=kept), 0)[0].normalization.masked

    assert not masked(50 / 66)
    assert masked(50 / 68)


def test_values_of_air_are_remarked_upon(fingerprint_of):
    assert (
        "if this is CT, name the channel 'CT'" in normalized(found(fingerprint_of, "image", low=-1024), 0)[1]
    )
    assert "CT" not in normalized(found(fingerprint_of, "image", low=0), 0)[1]


def test_each_channel_is_treated_by_itself(fingerprint_of):
    both = found(fingerprint_of, "CT", "PET")
    assert [normalized(both, n)[0].normalization.rule for n in (0, 1)] == ["ct", "zscore"]


def test_ct_without_any_labelled_voxel_is_refused(fingerprint_of):
    empty = found(fingerprint_of, "CT")
    empty = empty.but(
        cases=tuple(
            case.but(ranges=(case.ranges[0].but(mean=None, sd=None, low=None, high=None),))
            for case in empty.cases
        )
    )
    with pytest.raises(
        PlanError, match="synthetic: CT values are clipped to those of labelled voxels, and no case"
    ):
        normalized(empty, 0)
