"""Cascade: what one stage found is further input of the next."""

from __future__ import annotations

from delineate.dataset import Splits
from delineate.errors import RunError
from delineate.io.disk import write_json
from delineate.pipeline.fold import fold_digest, fold_segmenter
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Watch
from delineate.planning import Plan


def hand_down(run: Run, plan: Plan, name: str, splits: Splits, device: str, watch: Watch) -> None:
    """Writes the labels that stage `name` predicts beside the prepared cases of the stages after it.

    Each case is predicted by the fold that did not learn from it: a network would trust labels that the
    stage before knew by heart. So all folds of the stage have to be trained.

    Raises:
        RunError: a case was in no fold's validation part.
    """
    from delineate.preparation import Store, store_name

    dataset = run.dataset()
    after = [later for later, each in plan.configurations.items() if each.previous == name]
    untouched = set(dataset.ids)
    for fold, split in enumerate(splits.folds):
        done = run.fold(name, fold) / "handed_down.json"
        untouched -= set(split.validation)
        digest = fold_digest(run, plan, (name,), fold)
        stores = [Store.open(run.prepared / store_name(plan, later)) for later in after]
        there = all(store.case(case).has_previous for store in stores for case in split.validation)
        if there and done.is_file() and done.read_text(encoding="utf-8").strip() == f'"{digest}"':
            continue  # cases that were prepared again since have lost theirs
        segmenter = fold_segmenter(run, plan, (name,), fold, device)
        with watch.stage(f"hand down {name} fold {fold}") as progress:
            for number, case in enumerate(split.validation):
                progress(number, len(split.validation), case)
                scan = dataset.scan(dataset.case(case))
                for later, store in zip(after, stores, strict=True):
                    store.write_previous(case, segmenter.previous(scan, later))
            progress(len(split.validation), len(split.validation), "")
        write_json(done, digest)
    if untouched:
        raise RunError(
            f"{run.folder}: a cascade needs every case in the validation part of some fold; "
            f"{len(untouched)} are in none ({', '.join(sorted(untouched)[:5])}). Use k-fold splits."
        )
