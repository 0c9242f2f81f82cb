"""Benchmarks: how near to the bare arithmetic we come, and how we stand beside others.

``uv run python -m benchmarks --help`` says how to run them. A module of a evaluated exposes its
``CONTESTS`` (:mod:`benchmarks.base`); :mod:`benchmarks.harness` measures them all alike.
"""
