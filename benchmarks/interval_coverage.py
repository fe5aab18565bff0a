"""How often each interval holds the true mean: the table of docs/explanations/statistics.md.

    python benchmarks/interval_coverage.py [REPEATS]

Values are drawn as scores are: skewed towards 1 (Dice), spread, skewed upwards (HD95), and with one case
in twenty missed altogether. With 2000 repeats a share is known to about one per cent.
"""

import sys

import numpy as np

from delineate.evaluation.statistics import METHODS, Bootstrap

CASES = (10, 20, 44, 100)
SETS = 10  # of draws; the repeats take turns


def beta(mean, sd):
    total = mean * (1 - mean) / sd**2 - 1
    return lambda rng, n: rng.beta(mean * total, (1 - mean) * total, n)


def with_misses(rng, n):
    return np.where(rng.random(n) < 0.05, 0.0, rng.beta(40, 5, n))


SCORES = {
    "Dice .90, sd .05": (beta(0.9, 0.05), 0.9),
    "Dice .85, sd .12": (beta(0.85, 0.12), 0.85),
    "Dice .60, sd .25": (beta(0.6, 0.25), 0.6),
    "HD95, log-normal, sd of log .8": (lambda rng, n: rng.lognormal(1, 0.8, n), np.exp(1 + 0.32)),
    "Dice .89, but 5 % missed": (with_misses, 0.95 * 40 / 45),
}


def coverage(draw, truth, cases, repeats):
    bootstraps = [Bootstrap.drawn(range(cases), np.random.default_rng(s)) for s in range(SETS)]
    hits = dict.fromkeys(METHODS, 0)
    for repeat in range(repeats):
        estimate = bootstraps[repeat % SETS].mean(draw(np.random.default_rng((repeat, cases)), cases))
        for method in METHODS:
            low, high = estimate.interval(method)
            hits[method] += low <= truth <= high
    return {method: count / repeats for method, count in hits.items()}


def main(repeats):
    print(f"| scores | cases | {' | '.join(METHODS)} |")
    print("|---" * (2 + len(METHODS)) + "|")
    for name, (draw, truth) in SCORES.items():
        for cases in CASES:
            found = coverage(draw, truth, cases, repeats)
            print(
                f"| {name} | {cases} | {' | '.join(f'{100 * v:.1f}' for v in found.values())} |", flush=True
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
