"""A real installation in a temporary home, for benchmarks and for tests that need the whole."""
