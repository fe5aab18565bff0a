"""Side by side with peers, in one run on the same work: `python -m benchmarks`."""
