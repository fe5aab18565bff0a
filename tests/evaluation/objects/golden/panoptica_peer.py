"""Writes panoptica.json: what panoptica says of the instances in maps.py.

Run it in an environment of its own:  pip install panoptica==2.1.7 && python panoptica_peer.py
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
from panoptica import InputType, MaxBipartiteMatching, NaiveThresholdMatching, Panoptica_Evaluator
from panoptica.metrics import Metric

HERE = Path(__file__).parent
SEEDS = range(36)
NAMES = ("tp", "fp", "fn", "rq", "sq", "pq", "prec", "rec", "global_bin_dsc")


def said(reference, prediction, matcher, threshold):
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=matcher(matching_metric=Metric.IOU, matching_threshold=threshold),
        instance_metrics=[Metric.IOU],
        global_metrics=[Metric.DSC],
        decision_metric=Metric.IOU,
        decision_threshold=threshold,
        verbose=False,
    )
    result = evaluator.evaluate(prediction.astype(np.uint32), reference.astype(np.uint32), verbose=False)
    result = next(iter(result.values())) if isinstance(result, dict) else result
    return [float(getattr(result, name)) for name in NAMES]


def main():
    spec = importlib.util.spec_from_file_location("maps", HERE / "maps.py")
    maps = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maps)
    found = {}
    for seed in SEEDS:
        reference, prediction = maps.instance_pair(seed)
        found[seed] = {
            "maps": maps.digest(reference, prediction),
            "0.5": said(reference, prediction, NaiveThresholdMatching, 0.5),
            "0.3 assigned": said(reference, prediction, MaxBipartiteMatching, 0.3),
            "0.1 assigned": said(reference, prediction, MaxBipartiteMatching, 0.1),
        }
    lines = ",\n".join(f'"{seed}": {json.dumps(values)}' for seed, values in found.items())
    (HERE / "panoptica.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
