"""The fit of a target's coefficients; ``benchmarks/fit_cycles.py`` is its command."""
