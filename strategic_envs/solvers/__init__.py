"""Exact small solvers: zero-sum Nash equilibria, and correlated equilibria by linear programs."""
