"""The distribution is the same from a checkout, from a zip, without links and with links copied as folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("agents", "baselines", "scripts")
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", "results", ".hypothesis", "tests"
)
TRY_IMPORTS = (
    "import strategic_envs, strategic_envs.agents.dynamics, strategic_envs.baselines, strategic_envs.scripts.cli, sys\n"
    "bad = [m for m in sys.modules if m.split('.')[0] in ('agents', 'baselines', 'scripts')]\n"
    "assert not bad, bad\n"
    "print(strategic_envs.__file__)"
)


def tree(kind: str, folder: Path) -> Path:
    """A copy of the checkout, with its links as `kind` says."""
    copy = folder / "tree"
    shutil.copytree(ROOT, copy, symlinks=kind != "dereferenced", ignore=NOT_COPIED)
    if kind in ("without", "text", "zip"):
        for name in LINKED:
            link = copy / "strategic_envs" / name
            link.unlink() if link.is_symlink() or link.is_file() else shutil.rmtree(link)
            if kind == "text":  # what git writes on Windows
                link.write_text(f"../{name}")
    if kind == "zip":
        archive = shutil.make_archive(str(folder / "tree"), "zip", copy)
        shutil.rmtree(copy)
        with zipfile.ZipFile(archive) as file:
            file.extractall(copy)
    return copy


def python(*words: str, cwd: Path, path: Path | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def build(source: Path, out: Path, kind: str = "--wheel") -> Path:
    python("-m", "build", "--no-isolation", kind, "--outdir", str(out), str(source), cwd=out.parent)
    (made,) = out.iterdir()
    return made


@pytest.mark.parametrize("kind", ["links", "dereferenced", "without", "text", "zip"])
def test_every_kind_of_tree_imports_under_the_installed_names(kind: str, tmp_path: Path) -> None:
    copy = tree(kind, tmp_path)
    assert str(copy) in python("-c", TRY_IMPORTS, cwd=tmp_path, path=copy)


@pytest.mark.slow
def test_wheels_of_every_kind_of_tree_hold_the_same_files(tmp_path: Path) -> None:
    found = {}
    for kind in ("links", "dereferenced", "without", "text"):
        (tmp_path / kind).mkdir()
        found[kind] = contents(build(tree(kind, tmp_path / kind), tmp_path / kind / "out"))
    names = found["links"]
    assert all(other == names for other in found.values())
    assert {name.split("/")[0] for name in names} == {"strategic_envs"}
    for wanted in ("__init__.py", "py.typed", "agents/dynamics/extragradient.py", "scripts/presets/quick.py"):
        assert f"strategic_envs/{wanted}" in names
    modules = {p.relative_to(ROOT / folder) for folder in LINKED for p in (ROOT / folder).rglob("*.py")}
    assert len(modules) > 20
    assert not [name for name in names if "bench_" in name or "/cluster/" in name or "test_" in name.split("/")[-1]]


@pytest.mark.slow
def test_sdist_builds_the_same_wheel_and_an_installed_wheel_has_nothing_called_agents(tmp_path: Path) -> None:
    (tmp_path / "sdist").mkdir()
    source = tree("links", tmp_path)
    archive = build(source, tmp_path / "sdist" / "out", "--sdist")
    shutil.unpack_archive(archive, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "agents" / "dynamics" / "extragradient.py").is_file()
    assert not (unpacked / "strategic_envs" / "agents").exists()
    wheel = build(unpacked, tmp_path / "from_sdist")
    assert contents(wheel) == contents(build(source, tmp_path / "direct"))
    site = tmp_path / "site"
    python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=tmp_path)
    installed = {p.name for p in site.iterdir() if not p.name.endswith(".dist-info")}
    assert installed - {"bin", "__pycache__"} == {"strategic_envs"}
    assert str(site) in python("-c", TRY_IMPORTS, cwd=tmp_path, path=site)


def test_the_constraints_pin_what_the_extras_ask_for() -> None:
    pins = (ROOT / "constraints.txt").read_text().lower()
    for pin in ("torch==2.13.0", "ray==2.60.0", "gymnasium==1.2.2", "pettingzoo==1.27.0", "numpy==2.4", "setuptools=="):
        assert f"\n{pin}" in pins
    assert "+cpu" not in pins and " @ " not in pins
