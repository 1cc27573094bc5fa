"""Outside twins: the same numbers from another library, in an environment of its own (`make test-outside`)."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("pyspiel") else ["test_*.py"]
