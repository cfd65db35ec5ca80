"""What ``benchmarks/kernels.py`` is made of: layers to measure, random models of them, peers' counts, runs, tables."""
