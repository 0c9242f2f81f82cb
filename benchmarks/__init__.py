"""Benchmarks: the cost of training beside the bare arithmetic and beside other libraries.

``uv run python -m benchmarks --help`` shows how to run them. Each module covers one topic and lists
its ``COMPARISONS`` (:mod:`benchmarks.base`); :mod:`benchmarks.harness` measures them all alike.
"""
