"""Cascade: what one stage found is further input of the next."""

from __future__ import annotations

from delineate.dataset import Fold, Splits
from delineate.errors import RunError
from delineate.io.disk import write_json
from delineate.pipeline.fold import fold_digest, fold_segmenter
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Watch
from delineate.planning import ConfigurationName, Plan


def hand_down(
    run: Run, plan: Plan, name: ConfigurationName, splits: Splits, device: str, watch: Watch
) -> None:
    """Writes beside the prepared cases of `name` the labels that the stage before it predicts.

    Each case is predicted by the fold that did not learn from it: a network would trust labels that the
    stage before knew by heart. So all folds of that stage have to be trained. What is there stays.

    Raises:
        RunError: a case is in no fold's validation part, or a fold of the stage before is not trained.
    """
    validated = {case for split in splits.folds for case in split.validation}
    missing = sorted(set(run.dataset().ids) - validated)
    if missing:
        raise RunError(
            f"{run.folder}: a cascade needs every case in the validation part of some fold; "
            f"{len(missing)} are in none ({', '.join(missing[:5])}). Use k-fold splits."
        )
    for fold, split in enumerate(splits.folds):
        _hand_down_fold(run, plan, name, fold, split, device, watch)


def _hand_down_fold(
    run: Run, plan: Plan, name: ConfigurationName, fold: int, split: Fold, device: str, watch: Watch
) -> None:
    from delineate.preparation import Store, store_name

    before = str(plan.configuration(name).previous)
    segmenter = fold_segmenter(run, plan, (before,), fold, device)
    digest = fold_digest(run, plan, (before,), fold)
    done = run.fold(before, fold) / f"handed_to_{name}.json"
    store = Store.open(run.prepared / store_name(plan, name))
    there = all(store.case(case).has_previous for case in split.validation)
    if there and done.is_file() and done.read_text(encoding="utf-8").strip() == f'"{digest}"':
        return  # cases that were prepared again since have lost theirs
    dataset = run.dataset()
    with watch.stage(f"hand down {before} fold {fold}") as progress:
        for number, case in enumerate(split.validation):
            progress(number, len(split.validation), case)
            scan = dataset.scan(dataset.case(case))
            store.write_previous(case, segmenter.previous(scan, name))
        progress(len(split.validation), len(split.validation), "")
    write_json(done, digest)
