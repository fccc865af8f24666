"""What several benchmarks share: a broker of their own, the machine's name, what processes use, percentiles."""
