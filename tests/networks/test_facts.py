from delineate.networks import Facts, Score, card
from delineate.space import Label, LabelSchema, Region

FACTS = Facts(
    created="2026-11-20",
    cases=40,
    patients=38,
    sites=1,
    minutes=19.6,
    scores=(
        Score(structure="bone", metric="Dice", mean=0.9123, low=0.89, high=0.93, cases=40),
        Score(structure="bone", metric="HD95", unit="mm", mean=1.5, cases=40),
    ),
    limits=("Fewer than ten examples of cartilage loss.",),
)


def test_the_card_says_what_was_learnt_from_in_counts(make_plan):
    text = card(make_plan(), FACTS, {"3d_fullres": (0, 1)})
    assert "On 40 labelled cases of 38 patients from 1 site, 20 minutes of training (cpu)." in text
    assert "All cases come from one site." in text


def test_the_card_shows_the_figures_with_unit_and_interval(make_plan):
    text = card(make_plan(), FACTS, {"3d_fullres": (0, 1)})
    assert "| bone | Dice | 0.912 | 0.890 to 0.930 | 40 |" in text
    assert "| bone | HD95 | 1.500 mm |  | 40 |" in text


def test_the_card_describes_channels_structures_and_networks(make_plan):
    text = card(make_plan(), FACTS, {"3d_fullres": (0, 1)})
    assert "| 2 | T2 | zscore | none |" in text
    assert "| cartilage | 2 |  |" in text
    assert "| 3d_fullres | 1 x 1 x 1 mm | 8 x 8 x 8 | 2 | unet | 566 | 0, 1 |" in text


def test_the_card_says_research_only_and_its_limits(make_plan):
    text = card(make_plan(), FACTS, {})
    assert "Research only. This is not a medical device" in text
    assert "- Fewer than ten examples of cartilage loss." in text


def test_a_model_that_was_not_measured_says_so(make_plan):
    assert "## How good it was\n\nNot measured." in card(make_plan(), FACTS.but(scores=()), {})


def test_the_card_explains_regions(make_plan):
    labels = LabelSchema(
        labels=(Label(value=1, name="oedema"), Label(value=2, name="core|necrosis")),
        regions=(Region(name="whole", values=(1, 2), paints=1),),
    )
    text = card(make_plan(labels=labels), FACTS, {})
    assert "| whole | 1 + 2 |" in text
    assert "core\\|necrosis" in text
