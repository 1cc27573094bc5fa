"""A Ray session: quiet, limited and local, or a running cluster that is joined.

Inside a session, the number of GPUs is counted on the cluster, not on the machine of the driver.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["gpu_count", "quiet", "session"]

_OBJECT_STORE = 100 * 2**20  # bytes: batches are summed up before they travel


def quiet() -> None:
    """Silences what RLlib prints about itself; errors are still shown."""
    for name in ("ray", "ray.rllib", "ray.tune", "ray._common.deprecation"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*Overriding environment rllib.*")


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Holds back standard error, and then prints it without the line in which Ray repeats its log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            lines = [line for line in held.read().splitlines(True) if b"Set ray log level" not in line]
            os.write(2, b"".join(lines))


@contextmanager
def session(address: str | None = None, num_cpus: int = 2) -> Iterator[None]:
    """Ray for the length of a `with` block.

    A session that is already there is used as it is and left running. Otherwise a local one is started, with
    `num_cpus` logical processors and no dashboard, or the cluster at `address` is joined; it ends with the block.

    Args:
        address: The address of a running cluster (`"auto"`, `"host:6379"`); None starts a local session.
        num_cpus: Logical processors of a local session; a cluster has its own.

    Example:
        >>> with session():  # doctest: +SKIP
        ...     algorithm = ExtragradientConfig().environment("duopoly_pricing_v0").build_algo()
    """
    if address is None:  # a cluster says itself how its nodes authenticate
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    quiet()
    if ray.is_initialized():
        yield
        return
    limits = {"num_cpus": num_cpus, "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    with _without_greeting():
        ray.init(
            address=address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            **(limits if address is None else {}),
        )
    quiet()
    try:
        yield
    finally:
        ray.shutdown()


def gpu_count() -> int:
    """The number of GPUs of the cluster in session; without a session, of this machine."""
    import ray

    if ray.is_initialized():
        return int(ray.cluster_resources().get("GPU", 0))
    import torch

    return torch.cuda.device_count()
