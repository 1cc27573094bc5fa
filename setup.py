"""Which folder is which package; everything else is in pyproject.toml.

The import names are `strategic_envs.agents`, `.baselines` and `.scripts`; the folders lie at the top of the tree. The
mapping is written out here, so a wheel is the same from a checkout, from a tree without symbolic links (a zip) and
from one whose links were copied as folders. Benchmarks and cluster examples stay out of the wheel.
"""

from __future__ import annotations

from fnmatch import fnmatch

from setuptools import find_namespace_packages, find_packages, setup
from setuptools.command.build_py import build_py

LINKED = ("agents", "baselines", "scripts")
"""Top-level folders that are sub-packages of strategic_envs."""

LEFT_OUT = ("bench_*", "cluster", "cluster.*")
"""Modules and packages of scripts/ that are for checkouts only."""


def packages() -> dict[str, str]:
    """The folder of every package."""
    own = find_packages(include=["strategic_envs", "strategic_envs.*"])
    copies = tuple(f"strategic_envs.{name}" for name in LINKED)
    folders = {name: name.replace(".", "/") for name in own if not name.startswith(copies)}
    for name in LINKED:
        folders[f"strategic_envs.{name}"] = name
        for inner in find_namespace_packages(name, exclude=["__pycache__", "*.__pycache__"]):
            if name == "scripts" and any(fnmatch(inner, pattern) for pattern in LEFT_OUT):
                continue
            folders[f"strategic_envs.{name}.{inner}"] = f"{name}/{inner.replace('.', '/')}"
    return folders


class BuildModules(build_py):
    """Builds every module but the benchmarks."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """The modules of one package, without those that stay in the checkout."""
        found = super().find_package_modules(package, package_dir)
        return [m for m in found if not (package == "strategic_envs.scripts" and fnmatch(m[1], "bench_*"))]


setup(packages=sorted(packages()), package_dir=packages(), cmdclass={"build_py": BuildModules})
