"""Writes brats.json: what the evaluation script of BraTS 2023 says of the tumours in maps.py.

Run it in an environment of its own:

    pip install numpy==2.2.6 scipy==1.17.1 connected-components-3d==3.29.0 pandas==2.3.3 surface-distance==0.1
    git clone https://github.com/rachitsaluja/BraTS-2023-Metrics   (commit 0e272e6)
    python brats.py BraTS-2023-Metrics/eval.py

Its functions are taken as they are. Files are arrays in memory here, and what pandas 2 and numpy 2 took away
(DataFrame.append, DataFrame.replace beside arrays, np.Inf) is given back; its surface_distance folder is the
package of that name.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
SEEDS = range(36)
TASKS = ("GLI", "MEN", "MET")  # SSA and PED are as GLI


def loaded(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Scan:
    """What the script asks of a NIfTI file."""

    def __init__(self, array, spacing):
        self.array, self.spacing = array, spacing
        self.header = self

    def get_fdata(self):
        return self.array.astype(float)

    def get_zooms(self):
        return self.spacing


def main(script):
    maps = loaded(HERE / "maps.py", "maps")
    files = {}
    sys.modules["nibabel"] = types.SimpleNamespace(load=files.__getitem__)
    pd.DataFrame.append = lambda self, other: pd.concat([self, other])
    pd.DataFrame.replace = replaced
    np.inf = np.inf
    peer = loaded(script, "peer")
    peer.surface_distance.compute_surface_distances = as_booleans(
        peer.surface_distance.compute_surface_distances
    )
    found = {}
    for seed in SEEDS:
        (reference, prediction), spacing = maps.tumour_pair(seed)
        files |= {"reference": Scan(reference, spacing), "prediction": Scan(prediction, spacing)}
        found[seed] = {"maps": maps.digest(reference, prediction)}
        for task in TASKS:
            table = peer.get_LesionWiseResults("prediction", "reference", f"BraTS-{task}")
            found[seed][task] = {
                row["Labels"]: [
                    float(row[name])
                    for name in (
                        "LesionWise_Score_Dice",
                        "LesionWise_Score_HD95",
                        "Num_TP",
                        "Num_FN",
                        "Num_FP",
                        "Legacy_Dice",
                    )
                ]
                for _, row in table.iterrows()
            }
    lines = ",\n".join(f'"{seed}": {json.dumps(values)}' for seed, values in found.items())
    (HERE / "brats.json").write_text(f"{{\n{lines}\n}}\n")


def replaced(self, old, new, inplace=False):
    """Infinite numbers; pandas with numpy 2 no longer looks past columns that hold arrays."""
    table = self if inplace else self.copy()
    for name in self.select_dtypes("number").columns:
        table[name] = table[name].where(table[name] != old, new)
    return None if inplace else table


def as_booleans(function):
    """The package takes only booleans; the copy in the script's repository takes 0 and 1."""
    return lambda a, b, spacing: function(np.asarray(a, bool), np.asarray(b, bool), spacing)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
