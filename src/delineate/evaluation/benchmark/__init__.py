"""Which way of learning is better under equal compute, and is that proven?"""

from delineate.evaluation.benchmark.bench import Bench, Method, Trained, bench_of, write_bench
from delineate.evaluation.benchmark.showing import bench_page

__all__ = ["Bench", "Method", "Trained", "bench_of", "bench_page", "write_bench"]
