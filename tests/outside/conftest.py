"""Outside twins: the same numbers from another library, in an environment of its own (`make test-outside`)."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDS = {"pyspiel": "test_openspiel_*.py", "curvlinops": "test_curvlinops_*.py"}

collect_ignore_glob = [tests for library, tests in _NEEDS.items() if find_spec(library) is None]
