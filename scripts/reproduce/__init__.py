"""Reproductions of published results, one file each, discovered.

A module has `NAME`, `SUMMARY` and `reproduce(out, *, seed=0, quick=False) -> rows`, a row being a dictionary with
`quantity`, `ours`, `expected`, `source` and `within` (None: no verdict); further keys become further columns. It may
have `Options`, a frozen dataclass whose fields are options of the command line: then `reproduce` is called with
`options=` as well. Where `RESUMES = True`, the same command goes on where it was stopped.
"""
