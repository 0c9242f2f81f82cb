"""Robust image classifiers at the price of ordinary training."""
