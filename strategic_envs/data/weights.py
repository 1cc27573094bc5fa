"""The weights of a network from a file: safetensors, torch, shards of either, or what `strategic-envs train` wrote.

Nothing in a file is run. Torch files are read with `weights_only=True`, which refuses pickled code; a folder that
`train` wrote is read by the safetensors file in it, and its pickles are left alone.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strategic_envs.errors import DataError

__all__ = ["INITIAL_FILE", "WEIGHTS_FILE", "initial_of", "judged_weights", "read_weights", "write_weights"]

WEIGHTS_FILE = "weights.safetensors"
"""Where a checkpoint of the layers of a network keeps their weights by name."""
INITIAL_FILE = "initial_weights.safetensors"
"""Where it keeps those that training began with."""

_DESCRIPTION = "strategic_envs.json"  # of a checkpoint: among other things the digests of its files
_IN_FOLDER = (WEIGHTS_FILE, "model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json")
_INNER = ("state_dict", "model_state_dict", "model", "module", "network", "net", "params", "weights")
_MEND = "save it again as torch.save(model.state_dict(), FILE), or by safetensors.torch.save_file"


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file by name, in their own dtype, on the CPU.

    Args:
        path: A safetensors file, a torch file (a state dict, alone or under a key such as `state_dict` or `model`), the
            index of a file in shards (`*.index.json`), or a folder: what `train` wrote on layers_v0, its checkpoint, or
            one with `model.safetensors`.

    Raises:
        DataError: If there is none, it is damaged, of another format, or holds pickled code; the message names the
            file, and the tensor where there is one.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = write_weights(Path(folder.name) / "net.safetensors", {"0.weight": torch.eye(2)})
        >>> read_weights(file)
        {'0.weight': tensor([[1., 0.],
                [0., 1.]])}
        >>> folder.cleanup()
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = _file_in(path)
    if not path.is_file():
        raise DataError(f"got no file {path}, expected one of weights there (safetensors, or a torch state dict)")
    if path.name.endswith(".json"):
        return _shards(path)
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:9] == b"{" and head[:2] != b"PK":
        return _safetensors(path)
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return _named(_torch(path), path)
    if not head:
        raise DataError(f"{path}: got an empty file, expected weights: copy it again")
    if head.startswith(b"version https://"):
        raise DataError(f"{path}: got the pointer of a file that is stored elsewhere (git-lfs): run git lfs pull")
    raise DataError(
        f"{path}: got a file that begins with {head[:4].hex(' ')}, expected safetensors or a torch file: {_MEND}"
    )


def initial_of(path: str | Path) -> dict[str, Tensor] | None:
    """The weights that training began with, where a folder that `train` wrote on layers_v0 keeps them; None elsewhere.

    Raises:
        DataError: If the file is damaged.
    """
    folder = Path(path).expanduser()
    for inner in (folder / "checkpoint", folder):
        if (inner / INITIAL_FILE).is_file():
            _check_digest(inner / INITIAL_FILE)
            return read_weights(inner / INITIAL_FILE)
    return None


def write_weights(path: str | Path, weights: Mapping[str, Tensor]) -> Path:
    """Writes tensors by name as a safetensors file; what `read_weights` reads.

    Returns:
        The file.
    """
    from safetensors.torch import save_file

    save_file({name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}, path)
    return Path(path)


def judged_weights(weights: Mapping[str, Tensor], source: str = "the weights") -> dict[str, Tensor]:
    """The tensors of numbers in float64, as evaluators take them; half precision is exact in it.

    Tensors of whole numbers and truth values, such as counters of batches, are left out.

    Args:
        weights: Tensors by name.
        source: Where they come from, for messages.

    Raises:
        DataError: If a tensor holds NaN or infinite numbers, complex or quantised ones, or there is none of numbers.

    Example:
        >>> judged_weights({"w": torch.ones(2, dtype=torch.bfloat16), "steps": torch.tensor(3)})
        {'w': tensor([1., 1.], dtype=torch.float64)}
    """
    judged: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.is_quantized or tensor.is_complex() or tensor.layout != torch.strided:
            raise DataError(
                f"{source}, tensor {name!r}: got {tensor.dtype} in layout {tensor.layout}, expected plain real "
                "numbers: convert it with .dequantize(), .to_dense() or .real"
            )
        if not tensor.is_floating_point():
            continue
        double = tensor.detach().to(torch.float64)
        bad = int((~double.isfinite()).sum())
        if bad:
            raise DataError(
                f"{source}, tensor {name!r}: got {bad} of {double.numel()} numbers that are NaN or infinite, expected "
                "finite ones: training diverged, or the file is damaged; take an earlier checkpoint"
            )
        judged[name] = double
    if not judged:
        raise DataError(f"{source}: got no tensor of real numbers, expected the weights of a network")
    return judged


def _file_in(folder: Path) -> Path:
    """The file of weights in a folder."""
    for inner in (folder / "checkpoint", folder):
        found = next((inner / name for name in _IN_FOLDER if (inner / name).is_file()), None)
        if found is not None:
            _check_digest(found)
            return found
        if (inner / _DESCRIPTION).is_file():
            raise DataError(
                f"{inner}: got a checkpoint without {WEIGHTS_FILE}, expected one of the layers of a network: only what "
                "train wrote on layers_v0 has it, so train there, or save the network's state dict to a file"
            )
    raise DataError(f"got the folder {folder} with none of {', '.join(_IN_FOLDER)}: give the file of weights itself")


def _check_digest(file: Path) -> None:
    """Refuses a file that is not the one its checkpoint was written with."""
    try:
        about = json.loads((file.parent / _DESCRIPTION).read_text(encoding="utf-8"))
        expected = about["digests"].get(file.name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # no checkpoint of ours
    if expected is not None and hashlib.sha256(file.read_bytes()).hexdigest() != expected:
        raise DataError(f"{file}: the file has changed since the checkpoint was written: take another checkpoint")


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    name = None
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {}
            for name in file.keys():  # noqa: SIM118
                tensors[name] = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        where = f", tensor {name!r}" if name is not None else ""
        raise DataError(
            f"{path}{where}: not readable as safetensors ({error}): the file is truncated or damaged, copy it again"
        ) from error
    if not tensors:
        raise DataError(f"{path}: got a safetensors file without tensors, expected weights: save the network again")
    return tensors


def _torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), path.open("rb") as file:  # opened: torch would go by the file's name
            warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: got a file with pickled code ({_first_line(error)}), which is not run, expected tensors alone: "
            f"where the code can be trusted, load it there and {_MEND}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        if "torchscript" in str(error).lower():
            raise DataError(
                f"{path}: got a TorchScript archive, which holds code, expected tensors: {_MEND}"
            ) from error
        raise DataError(
            f"{path}: not readable as a torch file ({_first_line(error)}): it is truncated or damaged, copy it again"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0] if lines else "")
    return f"{type(error).__name__}: {told[:160]}"


def _named(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name in what a torch file holds."""
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: got a {type(content).__name__}, expected tensors by name: {_MEND}")
    found = _state_dict(content)
    if found is None:
        keys = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise DataError(f"{path}: got a dictionary with {keys} and no tensors, expected tensors by name: {_MEND}")
    return found


def _state_dict(content: Mapping[Any, Any]) -> dict[str, Tensor] | None:
    """The state dict in a dictionary: one under a usual key, or else the dictionary's own tensors."""
    for key in _INNER:
        inner = _state_dict(content[key]) if isinstance(content.get(key), Mapping) else None
        if inner is not None:
            return inner
    return {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)} or None


def _shards(path: Path) -> dict[str, Tensor]:
    """The tensors of an index: every name with the file, in the same folder, that holds it."""
    try:
        places: Any = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not isinstance(places, dict) or not places or not all(isinstance(f, str) for f in places.values()):
            raise TypeError("weight_map gives no file for every tensor")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: got no index of shards ({type(error).__name__}: {error}), expected JSON with weight_map, a file "
            "for every tensor: copy it again"
        ) from error
    there: dict[str, dict[str, Tensor]] = {}
    for name, file in places.items():
        if Path(file).name != file or file.endswith(".json"):
            raise DataError(
                f"{path}, tensor {name!r}: got the file {file!r}, expected the name of one beside the index"
            )
        if file not in there:
            if not (path.parent / file).is_file():
                raise DataError(f"{path}, tensor {name!r}: there is no file {file} beside the index: copy it there")
            there[file] = read_weights(path.parent / file)
        if name not in there[file]:
            raise DataError(
                f"{path}, tensor {name!r}: {file} does not hold it: index and shards do not belong together"
            )
    return {name: there[file][name] for name, file in places.items()}
