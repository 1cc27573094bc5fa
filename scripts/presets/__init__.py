"""Benchmark presets, one file each, discovered."""
