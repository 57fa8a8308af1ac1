"""Measures the numbers in the README: one module for each scenario, beside its floor in the same run."""
