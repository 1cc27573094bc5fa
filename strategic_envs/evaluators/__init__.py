"""Gaps and reports about play."""
