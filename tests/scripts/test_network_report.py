"""`evaluate --network FILE` prints every table beside its controls, and refuses in one line what it cannot judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from strategic_envs.data.weights import INITIAL_FILE, WEIGHTS_FILE, write_weights
from strategic_envs.games.networks import initialise, mlp
from strategic_envs.scripts.cli import main
from strategic_envs.scripts.network_chain import linear_chain
from strategic_envs.scripts.options import InputError


def state(seed: int = 0) -> dict[str, Tensor]:
    weights = initialise(mlp((64, 16, 10)), seed).state_dict()
    return {name.replace("layer_1", "2").replace("layer_0", "0"): tensor for name, tensor in weights.items()}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    write_weights("net.safetensors", state())
    torch.save({"state_dict": state(1)}, "first.pt")
    diverged = state()
    diverged["0.weight"][0, 0] = float("nan")
    write_weights("diverged.safetensors", diverged)
    write_weights("conv.safetensors", {"c.weight": torch.zeros(8, 8, 3, 3).bernoulli_(0.5) + 0.1})

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["evaluate", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_the_table_stands_beside_its_controls_and_says_that_the_initialisation_is_missing(run: Any) -> None:
    code, out, _ = run("--network", "net.safetensors")
    assert code == 0
    for said in (
        "0.weight: lognormal rejected",
        "Gaussian",
        "Laplace",
        "control, n 1024",
        "left out: 2.weight [10, 16]",
    ):
        assert said in out
    assert "the initialisation was not given (--initial FILE)" in out and "at first" not in out
    assert "any density is an arbitrage equilibrium" in " ".join(out.split())


def test_json_holds_rows_controls_the_initialisation_and_what_must_not_be_concluded(run: Any) -> None:
    code, out, _ = run("--network", "net.safetensors", "--initial", "first.pt", "--minimum", "100", "--json")
    record = json.loads(out)
    assert code == 0 and [row["name"] for row in record["rows"]] == ["0.weight", "2.weight"]
    assert record["initial"] == "first.pt" and record["rows"][0]["J_init"] is not None
    assert record["rows"][0]["initial"]["n"] == 1024
    verdicts = {c["name"]: c["verdict"] for c in record["controls"]}
    assert len(verdicts) == 6 and verdicts["control Gaussian, n 1024"] == "rejected"
    assert len(record["cautions"]) == 1 and "arbitrage equilibrium" in record["note"]
    assert "path_wardrop" not in record


def test_gaps_of_a_chain_of_layers_are_printed_with_what_a_zero_would_mean(run: Any) -> None:
    words = ("--network", "net.safetensors", "--data", "digits", "--samples", "40")
    code, out, _ = run(*words, "--activation", "relu")
    assert code == 0 and "the minimum over free path flows with these gates, and no more" in out
    assert "layers 0, 2, relu between them" in " ".join(out.split()) and "no score of quality" in " ".join(out.split())
    code, out, _ = run(*words, "--activation", "identity", "--loss", "mse", "--json")
    record = json.loads(out)
    assert record["path_wardrop"]["global_claim"] == "linear, full width"
    assert record["path_wardrop"]["identity_error"] < 1e-12 and record["path_wardrop"]["path_gap"] > 0
    assert [one["name"] for one in record["layer_equilibrium"]] == ["0", "2"] and len(record["cautions"]) == 3


def test_a_checkpoint_of_layers_brings_its_initialisation_and_its_activation(run: Any) -> None:
    folder = Path("run") / "checkpoint"
    folder.mkdir(parents=True)
    write_weights(folder / WEIGHTS_FILE, state())
    write_weights(folder / INITIAL_FILE, state(1))
    about: dict[str, Any] = {"environment": "layers_v0", "env_options": {"loss": "mse"}, "digests": {}}
    (folder / "strategic_envs.json").write_text(json.dumps(about))
    code, out, _ = run("--network", "run", "--data", "digits", "--samples", "20", "--json")
    record = json.loads(out)
    assert code == 0 and record["initial"] == "run, as training began"
    assert record["measured_on"].startswith("mse on 20") and "relu" in record["measured_on"]
    about["env_options"] = {"network": "residual"}
    (folder / "strategic_envs.json").write_text(json.dumps(about))
    assert "no chain of layers" in run("--network", "run", "--data", "digits")[2]


GAPS = ("--network", "net.safetensors", "--data", "digits")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--network", "nothing.pt"), "got no file nothing.pt"),
        (("--network", "."), "give the file of weights itself"),
        (("--network", "diverged.safetensors"), "diverged.safetensors: '0.weight': 1 of 1024 entries are NaN"),
        (("--network", "net.safetensors", "--initial", "nothing.pt"), "got no file nothing.pt"),
        (("--network", "net.safetensors", "--initial", "conv.safetensors"), "tensors named c.weight"),
        (("--network", "net.safetensors", "--fixed", "x"), "unknown tensor 'x'"),
        (("--network", "net.safetensors", "--minimum", "3"), "got 3 entries"),
        (("--network", "net.safetensors", "--activation", "relu"), "give --data digits|mnist|cifar10 too"),
        (("--network", "net.safetensors", "--data", "letters"), "got --data letters"),
        (GAPS, "give --activation relu or identity"),
        ((*GAPS, "--activation", "tanh"), "got --activation tanh, expected relu or identity"),
        ((*GAPS, "--activation", "relu", "--loss", "hinge"), "got --loss hinge"),
        ((*GAPS, "--activation", "relu", "--samples", "-1"), "got --samples -1"),
        ((*GAPS, "--activation", "relu", "--data-dir", "."), ""),
        (("--network", "conv.safetensors", "--data", "digits", "--activation", "relu"), "'c.weight' of shape (8, 8, 3"),
        (("--network", "diverged.safetensors", "--data", "digits", "--activation", "relu"), "1 of 1024 numbers"),
        (("somewhere", "--network", "net.safetensors"), "leave --strategic and the checkpoint out"),
        (("--network", "net.safetensors", "--strategic"), "leave --strategic and the checkpoint out"),
        (("--network", "net.safetensors", "--games", "3"), "do not go with --network"),
        (("--initial", "first.pt"), "--initial is of a file of weights: give --network FILE too"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(run: Any, words: tuple[str, ...], told: str) -> None:
    code, _, err = run(*words)
    if not told:  # digits need no folder
        assert code == 0
        return
    assert code == 2 and told in err and err.count("\n") == 1 and "Traceback" not in err


def test_layers_are_put_in_the_order_of_their_numbers_whatever_the_order_of_the_file() -> None:
    layers = {f"{2 * i}.weight": torch.ones(3, 3) * i for i in range(12)}
    shuffled = {name: layers[name] for name in sorted(layers)}  # 0, 10, 12, ... as safetensors sort them
    network, order = linear_chain(shuffled, "relu", "net")
    assert order == [str(2 * i) for i in range(12)] and len(network) == 23
    assert [float(p.detach()[0, 0]) for p in network.parameters()] == list(range(12))


def test_a_chain_gives_what_the_module_gave(tmp_path: Path) -> None:
    module = initialise(mlp((5, 4, 3, 2)), 0).double()
    network, _ = linear_chain(module.state_dict(), "relu", "net")
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(network(inputs), module(inputs))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"a.weight": torch.ones(3, 2), "b.weight": torch.ones(1, 4)}, "'b': got 4 inputs after the 3 outputs of 'a'"),
        ({"a.weight": torch.ones(3, 2), "a.bias": torch.ones(2)}, r"'a': got a bias of shape \(2,\), expected \(3,\)"),
        ({"a.weight": torch.ones(3, 2), "n.weight": torch.ones(3)}, r"tensor 'n\.weight' of shape \(3,\)"),
        ({"a.weight": torch.ones(3, 2), "n.running_mean": torch.ones(3)}, r"tensor 'n\.running_mean'"),
        ({"a.kernel": torch.ones(3, 2)}, r"tensor 'a\.kernel'"),
    ],
)
def test_what_is_no_chain_is_named(weights: dict[str, Tensor], told: str) -> None:
    with pytest.raises(InputError, match=told):
        linear_chain(weights, "relu", "net.pt")
