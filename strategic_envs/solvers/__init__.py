"""Exact small solvers."""
