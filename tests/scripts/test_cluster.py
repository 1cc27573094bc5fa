"""A job is submitted from a checkout to a cluster of one machine, as a user would."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def ray(*words: str, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """One `ray` command of this Python."""
    return subprocess.run(
        [str(BIN / "ray"), *words], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture
def head():
    """A head node in a process of its own: its address, and the address for jobs."""
    pytest.importorskip("ray")
    pytest.importorskip("aiohttp_cors", reason="needs the extra cluster")
    port, dashboard, client, agent = free_ports(4)
    session = Path(tempfile.mkdtemp(prefix="ray"))  # its sockets' paths have at most 107 letters: no long names above
    words = [
        *("start", "--head", "--block", "--num-cpus=2", f"--port={port}", "--node-ip-address=127.0.0.1"),
        *("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
        # the agent's usual port may be taken by the session that other tests hold, and jobs would find no agent then
        *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
        *("--object-store-memory=100000000", "--disable-usage-stats"),
        f"--temp-dir={session}",
    ]
    log = (session / "start.log").open("w")
    process = subprocess.Popen([str(BIN / "ray"), *words], env=ENVIRONMENT, stdout=log, stderr=log, cwd=session)
    try:
        yield f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
    finally:
        process.terminate()  # with --block, this ends the processes of this head and no others
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
        shutil.rmtree(session, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_checkout_submits_a_job_that_trains_on_the_cluster_it_joins(head, tmp_path: Path) -> None:
    address, jobs = head
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        checkout,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info"),
    )
    for left_here in ("data", "results", ".venv"):
        (checkout / left_here).mkdir(exist_ok=True)
        (checkout / left_here / "large.bin").write_bytes(b"0" * 2**20)
    out = tmp_path / "run"
    look = "import os; bad = {'data', 'results', 'tests'} & set(os.listdir()); assert not bad, bad"
    train = (
        f'python -c "{look}" && python -m strategic_envs.scripts.cli train continuous_game_v0 --agent extragradient '
        f"--iterations 20 --address auto --out {out}"
    )
    early = ("Failed to connect", "No available agent to submit job")  # what a cluster that just started answers
    deadline = time.monotonic() + 60
    while True:
        done = ray("job", "submit", "--address", jobs, "--working-dir", ".", "--", "bash", "-c", train, cwd=checkout)
        if not any(answer in done.stdout + done.stderr for answer in early) or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout + done.stderr
    final = json.loads((out / "result.json").read_text())["final"]
    assert final["iteration"] == 20 and final["exploitability"] >= 0
    assert address
