"""Measurements: ``python -m benchmarks.run --data DIR``."""
