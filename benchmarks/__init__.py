"""Benchmarks: how near to the bare arithmetic we come, and how we stand beside others.

``uv run python -m benchmarks --help`` says how to run them. A module of a subject exposes its
``CONTESTS`` (:mod:`benchmarks.contract`); :mod:`benchmarks.harness` measures them all alike.
"""
