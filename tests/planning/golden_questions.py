"""Questions for the peer, and how its answers are stored.

    python tests/planning/golden_questions.py PEER_PYTHON [SHARED_DATA]

writes tests/planning/golden/*.json anew: fingerprints as numbers, and nnU-Net's plans for them. Shapes and
spacings are in nnU-Net's order, (k, j, i).
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from delineate.record import compact

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


def question(name, sizes, spacings, *, channels=("MRI",), labels=2, kept=1.0, presets=("default",), **more):
    """`sizes` and `spacings`: one for all cases, or one per case."""
    labels = {f"label_{n}": n for n in range(1, labels + 1)} if isinstance(labels, int) else labels
    count = max(len(np.atleast_2d(sizes)), len(np.atleast_2d(spacings)))
    shapes = np.broadcast_to(sizes, (count, 3)).tolist()
    spacings = np.broadcast_to(np.array(spacings, float), (count, 3)).tolist()
    return {
        "name": name,
        "channels": list(channels),
        "labels": labels,
        "kept": kept,
        "presets": list(presets),
        "shapes": shapes,
        "spacings": spacings,
        **more,
    }


def spread(size, count, seed, share=0.15):
    """`count` sizes around `size`, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return np.maximum(1, np.round(size * rng.uniform(1 - share, 1 + share, (count, 3)))).astype(int)


ALL = ("default", "M", "L", "XL")
BRATS = {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
MODALITIES = ("T1", "T1c", "T2", "FLAIR")


def synthetic():
    """Fingerprints that reach every rule of the planner."""
    return [
        question("hippocampus_like", spread((36, 50, 35), 50, 1), (1, 1, 1), presets=ALL),
        question(
            "brain_tumours", spread((138, 172, 140), 12, 2), (1, 1, 1), channels=MODALITIES, labels=BRATS,
            kept=0.4, presets=ALL,
        ),
        question("lung_nodules", spread((252, 512, 512), 12, 3), (1.245, 0.785, 0.785), channels=("CT",),
                 labels=1, presets=ALL),
        question(
            "heart_slices", spread((9, 256, 224), 12, 4),
            [(z, 1.5625, 1.5625) for z in (5, 5, 6, *(10,) * 9)], labels=3, presets=ALL,
        ),
        question("prostate", spread((20, 320, 320), 32, 5), (3.6, 0.625, 0.625), channels=("T2", "ADC"),
                 presets=("default", "M")),
        question("whole_body", spread((300, 280, 280), 11, 6), (1.5, 1.5, 1.5), channels=("CT",), labels=24,
                 presets=("default", "L")),
        question("many_structures", spread((280, 250, 250), 11, 7), (1.5, 1.5, 1.5), channels=("ct",),
                 labels=117),
        question("liver", spread((432, 512, 512), 11, 8), (1.0, 0.767, 0.767), channels=("CT",),
                 presets=("default", "M", "XL")),
        question("blood_cells", [(1, int(n), int(m)) for n, m in spread((1, 120, 122), 12, 9)[:, 1:]],
                 (999, 1, 1), channels=("R", "G", "B"), presets=ALL),
        question("microscopy", [(1, 1024, 1360)] * 6 + [(1, 512, 680)] * 5, (999, 1, 1), labels=1,
                 channels=("rgb_to_0_1",), presets=("default", "M")),
        question("pathology_tiles", (1, 2048, 2048), [(999, 1, 1)] * 40, channels=("R", "G", "B"), labels=5),
        question("sagittal", spread((256, 256, 20), 9, 10), (0.9, 0.9, 4.4), kept=0.7),
        question("coronal", spread((300, 30, 300), 9, 11), (0.7, 3.0, 0.7), kept=0.75),
        question("annotated_in_part", spread((96, 160, 160), 9, 12), (2, 1, 1),
                 labels={"organ": 1, "lesion": 2, "ignore": 3}),
        question("one_case", [(112, 101, 122)], (3, 3, 3), channels=("CT",), labels=61,
                 presets=("default", "M")),
        question("few_thick_slices", spread((6, 512, 512), 8, 13), (8, 0.5, 0.5), labels=1),
        question("finer_than_the_plane", spread((30, 300, 300), 10, 14),
                 [(z, 1.5, 1.5) for z in (0.8, 0.9, 1.0, 1.2, 5.0, 5.0, 5.0, 6.0, 6.0, 6.0)]),
        question("pet", spread((80, 40, 42), 51, 15, 0.3), (3.27, 4.1, 4.1), channels=("PET",), labels=1),
        question("mixed_protocols", spread((120, 300, 300), 10, 16, 0.5),
                 np.random.default_rng(16).uniform((1, 0.4, 0.4), (6, 1, 1), (10, 3)).round(3)),
        question("small_memory", spread((160, 192, 160), 10, 17), (1, 1, 1), memory_gb=3.0),
        question("large_memory", spread((160, 192, 160), 60, 18), (1, 1, 1), memory_gb=24.0,
                 presets=("default", "M")),
        question("every_rule_by_name", spread((64, 64, 64), 5, 19), (1, 1, 1), kept=0.5,
                 channels=("CT", "noNorm", "zscore", "rescale_to_0_1", "rgb_to_0_1", "anything")),
        *(random_question(seed) for seed in range(12)),
    ]  # fmt: skip


def random_question(seed):
    rng = np.random.default_rng(1000 + seed)
    spacing = rng.choice([0.4, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0], 3)
    extent = rng.uniform(40, 400, 3)
    size = np.clip(np.round(extent / spacing), 12, 600)
    return question(
        f"random_{seed:02d}",
        spread(size, 7 + seed % 2, 2000 + seed, 0.3),
        (spacing * rng.uniform(0.9, 1.2, (7 + seed % 2, 3))).round(3),
        labels=int(rng.integers(1, 9)),
        kept=round(float(rng.uniform(0.5, 1)), 3),
        presets=("default", "M") if seed % 3 == 0 else ("default",),
        channels=("CT",) if seed % 4 == 0 else ("MRI",) * int(rng.integers(1, 4)),
    )


def real(shared):
    """Cases of the shared data that nnU-Net can read too; see `test_golden.py` for how we read them."""
    hippocampus = [
        {"images": [f"{shared}/hippocampus/imagesTr/{p.name}"], "label": str(p)}
        for p in sorted((shared / "hippocampus" / "labelsTr").glob("*.nii.gz"))
    ]
    lesions = shared / "ms_lesions" / "MNI"
    parts = ("FLAIR", "T1", "T1POST", "T2")
    cells = sorted((shared / "wbc_cells" / "images").glob("*.bmp"))
    brain = shared / "brain_tumour_mri" / "TCGA-DU-7294" / "TCGA-DU-7294_brainles"
    sequences = ("t1", "t1c", "t2", "fla")
    return [
        {"name": "real_hippocampus", "channels": ["MRI"], "labels": {"Anterior": 1, "Posterior": 2},
         "presets": list(ALL), "cases": hippocampus},
        {"name": "real_ms_lesions", "channels": list(parts), "labels": {"lesion": 1},
         "presets": ["default", "M"],
         "cases": [{"images": [str(next(folder.glob(f"{part}_*"))) for part in parts],
                    "label": str(next(folder.glob("GOLD*")))} for folder in sorted(lesions.iterdir())]},
        {"name": "real_totalseg_ct", "channels": ["CT"], "labels": {f"label_{n}": n for n in range(1, 62)},
         "presets": ["default", "M"], "cases": [{"images": [str(shared / "totalseg" / "example_ct.nii.gz")],
         "label": str(shared / "totalseg" / "example_seg_fast_force_split.nii.gz")}]},
        {"name": "real_blood_cells", "channels": ["red", "green", "blue"], "reader": "NaturalImage2DIO",
         "labels": {"cytoplasm": 1, "nucleus": 2}, "presets": ["default", "M"],
         "cases": [{"images": [str(p)], "label": str(shared / "wbc_cells" / "labels" / f"{p.stem}.png")}
                   for p in cells]},
        {"name": "real_brain_tumour", "channels": list(sequences),
         "labels": {"core": 1, "oedema": 2, "rim": 4}, "presets": ["default", "M"], "cases": [{
             "images": [str(next(brain.rglob(f"*_{part}_bet.nii.gz"))) for part in sequences],
             "label": str(next(brain.rglob("simple*.nii.gz")))}]},
        {"name": "real_totalseg_mr", "channels": ["MR"], "labels": {f"label_{n}": n for n in range(1, 25)},
         "presets": ["default"], "cases": [{"images": [str(shared / "totalseg" / "example_mr_sm.nii.gz")],
         "label": str(shared / "totalseg" / "example_seg_mr.nii.gz")}]},
    ]  # fmt: skip


def ask(peer, questions):
    """What nnU-Net answers; `peer` is the Python of its environment."""
    done = subprocess.run(
        [peer, HERE / "peer_plans.py"],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout)


def store(peer, questions):
    for asked, answer in zip(questions, ask(peer, questions), strict=True):
        found = answer["fingerprint"]
        short = {key: asked[key] for key in ("name", "channels", "labels", "presets")}
        short |= {
            "memory_gb": asked.get("memory_gb"),
            "kept": found["median_relative_size_after_cropping"],
            "shapes": found["shapes_after_crop"],
            "spacings": found["spacings"],
        }
        if "cases" in asked:
            short["intensities"] = list(found["foreground_intensity_properties_per_channel"].values())
            short["files"] = [Path(case["label"]).name for case in asked["cases"]]
        stored = compact({"question": short, "answer": answer["plans"]}) + "\n"
        (GOLDEN / f"{asked['name']}.json").write_text(stored)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    store(sys.argv[1], synthetic())
    if len(sys.argv) > 2:
        store(sys.argv[1], real(Path(sys.argv[2])))
