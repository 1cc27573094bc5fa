"""Every Python example of the README and of docs/ runs as it stands."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S))
]


def run(block: str, folder: Path) -> None:
    needed = re.match(r"# needs (\w+)", block)
    if needed and importlib.util.find_spec(needed.group(1)) is None:
        pytest.skip(f"needs {needed.group(1)}")
    (folder / "example.py").write_text(block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [b for b in BLOCKS if "rllib" not in b.values[0]])
def test_examples_run(block: str, tmp_path: Path) -> None:
    run(block, tmp_path)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("block", [b for b in BLOCKS if "rllib" in b.values[0]])
def test_examples_with_rllib_run(block: str, tmp_path: Path) -> None:
    run(block, tmp_path)


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken
