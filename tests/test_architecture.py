"""The house keeps its shape: arrows between packages, short files, documented names, no workplace in the text."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "strategic_envs": "strategic_envs",
    "agents": "strategic_envs.agents",
    "baselines": "strategic_envs.baselines",
    "scripts": "strategic_envs.scripts",
}
LONGEST, LONGEST_TEST = 340, 460

# What each package may import; the ground floor is what all others stand on.
GROUND = {"errors", "seeding", "profile", "sets", "play"}
ALLOWED = {
    "errors": set(),
    "seeding": set(),
    "profile": set(),
    "sets": {"errors"},
    "play": {"errors", "profile", "sets", "seeding"},
    "data": GROUND,
    "games": GROUND | {"data", "solvers.compiled"},  # how loops are compiled, which itself stands on nothing
    "solvers": GROUND | {"games"},
    "evaluators": GROUND | {"games", "solvers"},
    "envs": GROUND | {"games", "data"},
    "registry": GROUND | {"games", "data", "envs"},
    "plots": GROUND | {"games"},
    "results": GROUND | {"games"},
    "testing": GROUND | {"games", "solvers", "evaluators", "envs", "registry", "data", "agents.dynamics"},
}
LIBRARY = set().union(*ALLOWED.values()) - {"agents.dynamics", "solvers.compiled"} | set(ALLOWED)
ALLOWED |= {
    "baselines": LIBRARY - {"testing"},
    "agents": (LIBRARY - {"testing"}) | {"baselines"},
    "scripts": (LIBRARY - {"testing"}) | {"baselines", "agents"},
}


@functools.cache
def sources() -> dict[str, tuple[Path, ast.Module]]:
    """Every module by its import name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT / folder)
            through_link = folder == "strategic_envs" and relative.parts[0] in FOLDERS
            if through_link or relative.name.startswith("bench_") or relative.parts[0] == "cluster":
                continue
            parts = [package, *relative.with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = (path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imports(tree: ast.AST) -> set[str]:
    """The modules a module imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def floor(name: str) -> str | None:
    """`strategic_envs.games.kinds.vi` is on the floor `games`; the root is on none."""
    parts = name.split(".")
    return parts[1] if parts[0] == "strategic_envs" and len(parts) > 1 else None


def test_arrows_run_one_way() -> None:
    wrong = []
    for name, (_, tree) in sources().items():
        own = floor(name)
        if own is None:
            continue  # the root names everything, lazily
        assert own in ALLOWED, f"{name}: say in this test what the package {own!r} may import"
        for target in sorted(imports(tree)):
            other = floor(target)
            if other is None or other == own or other not in ALLOWED:
                continue
            if other not in ALLOWED[own] and not any(
                target.startswith(f"strategic_envs.{allowed}") for allowed in ALLOWED[own] if "." in allowed
            ):
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_only_agents_rllib_imports_ray() -> None:
    rllib = "strategic_envs.agents.rllib"
    using = {name for name, (_, tree) in sources().items() if any(i.split(".")[0] == "ray" for i in imports(tree))}
    assert {name for name in using if not name.startswith(rllib)} == set()


def test_modules_import_each_other_by_their_installed_names() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, (_, tree) in sources().items()
        for target in imports(tree)
        if target.split(".")[0] in {"agents", "baselines", "scripts", "tests"}
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_of_ours_is_loaded_under_a_second_name() -> None:
    code = (
        "import sys, pkgutil, importlib, strategic_envs\n"
        "for m in ('registry', 'scripts.cli', 'scripts.commands.train', 'scripts.commands.benchmark',"
        " 'agents.dynamics', 'agents.roster'):\n"
        "    importlib.import_module(f'strategic_envs.{m}')\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('agents', 'baselines', 'scripts')]\n"
        "sys.exit(f'loaded twice: {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_import_strategic_envs_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys, strategic_envs\n"
        "heavy = {'torch', 'ray', 'scipy', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_lazy_name_exists_and_is_listed_once() -> None:
    import strategic_envs as se

    assert sorted(se.__all__) == sorted(set(se.__all__))
    assert {name for name in se.__all__ if getattr(se, name, None) is None} == set()
    assert set(se.__all__) <= set(dir(se))
    with pytest.raises(AttributeError, match="no attribute 'gmae'"):
        _ = se.gmae


def test_files_are_short_enough_to_read_in_one_sitting() -> None:
    long = {}
    for path in [*(p for p, _ in sources().values()), *(ROOT / "tests").rglob("*.py")]:
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > (LONGEST_TEST if path.is_relative_to(ROOT / "tests") else LONGEST):
            long[str(path.relative_to(ROOT))] = lines
    assert not long, f"split these files, they have too many lines: {long}"


def test_every_module_and_public_name_says_what_it_is() -> None:
    bare = []
    for name, (_, tree) in sources().items():
        if ast.get_docstring(tree) is None and "errors" not in name:
            bare.append(name)
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                bare.append(f"{name}.{node.name}")
    assert not bare, f"no docstring: {bare}"


def test_texts_name_no_machine_and_no_folder_of_their_authors() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    forbidden = ["/" + folder + "/" for folder in ("home", "root", "work")]
    wrong = []
    for line in listed.stdout.splitlines():
        path = ROOT / line
        if path.is_symlink() or not path.is_file() or path.suffix in {".png", ".gz", ".npz", ".ico"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        wrong += [f"{line}: {word}" for word in forbidden if word in text]
    assert not wrong, "\n".join(wrong)
