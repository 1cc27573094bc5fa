"""The report on a network: verdicts of known weights, what is skipped and why, the baseline, bad input."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from strategic_envs.errors import DataError, InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.microstructure import REFERENCE, WeightRow, weight_microstructure
from strategic_envs.evaluators.microstructure.rows import measure
from strategic_envs.evaluators.microstructure.samples import sample_of
from strategic_envs.evaluators.microstructure.words import verdict_of

SHAPE = (100, 200)


def drawn(law: str, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], shape)
    return torch.from_numpy(signs * getattr(random, law)(size=shape))


def row_of(weights: torch.Tensor, **options) -> WeightRow:
    report = weight_microstructure({"w": weights}, controls=False, **options)
    return report.rows[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("law", "verdict", "winner"),
    [
        ("normal", "rejected", "half_normal"),
        ("laplace", "rejected", "exponential"),
        ("lognormal", "supported", "lognormal"),
    ],
)
def test_verdicts_on_weights_of_a_known_law(law: str, verdict: str, winner: str, seed: int) -> None:
    row = row_of(drawn(law, seed))
    assert (row.verdict, row.winner) == (verdict, winner)
    expected = {"normal": "half_normal", "laplace": "exponential"}.get(law, "lognormal")
    assert row.J_corrected == pytest.approx(REFERENCE[expected], abs=0.02)
    assert row.sentence.startswith(f"lognormal {verdict}: ")
    assert row.ks[winner] < 0.02
    assert (row.ks["lognormal"] <= 0.02) == (law == "lognormal")
    assert row.vuong[winner] < -10 if law != "lognormal" else min(row.vuong.values()) > 10


def test_student_weights_are_told_from_lognormal_ones_where_a_histogram_would_not() -> None:
    weights = torch.from_numpy(np.random.default_rng(0).standard_t(3, size=SHAPE))
    row = row_of(weights)
    assert (row.verdict, row.winner) == ("rejected", "half_t")
    assert row.fits["half_t"].parameters["nu"] == pytest.approx(3, rel=0.1)
    assert "half-Student-t (nu" in row.sentence


def test_the_numbers_of_a_row() -> None:
    weights = drawn("laplace")
    row, y = row_of(weights), np.log(np.abs(weights.numpy())).ravel()
    assert (row.n, row.used, row.zero_share, row.tied_share) == (20_000, 20_000, 0.0, 0.0)
    assert (row.mu, row.sigma) == (pytest.approx(y.mean()), pytest.approx(y.std()))
    assert row.winner == min(row.bic, key=lambda name: row.bic[name])
    for rival, ahead in row.loglik_per_weight.items():
        assert ahead == pytest.approx(row.fits["lognormal"].loglik - row.fits[rival].loglik)
        low, high = row.intervals[f"loglik_per_weight/{rival}"]
        assert low <= ahead <= high
    for name, value in (("mu", row.mu), ("sigma", row.sigma), ("J_corrected", row.J_corrected)):
        low, high = row.intervals[name]
        assert low < value < high
    assert set(row.ks) == set(row.ad) == {"lognormal", "exponential"}
    assert 0.9 < row.qq_r2 < 1
    assert row.p_values == {}
    flat = row.row()
    assert flat["vuong/weibull"] == row.vuong["weibull"]
    assert "J_init" not in flat


def test_thresholds_of_the_verdict() -> None:
    z = {"gamma": 2.0, "half_t": 9.0}
    assert verdict_of("lognormal", z, 0.02) == "supported"
    assert verdict_of("lognormal", z, 0.0201) == "compatible"
    assert verdict_of("lognormal", z | {"gamma": 1.99}, 0.01) == "compatible"
    assert verdict_of("gamma", {"gamma": -1.99}, 0.3) == "compatible"
    assert verdict_of("gamma", {"gamma": -2.0}, 0.01) == "rejected"


def test_resampling_rows_sees_what_resampling_entries_would_not() -> None:
    """Neurons of different scale: 50 rows tell far less than 20,000 entries."""
    scales = torch.from_numpy(np.random.default_rng(0).lognormal(size=(50, 1)))
    row = row_of(scales * drawn("normal", shape=(50, 400)))
    low, high = row.intervals["mu"]
    assert (high - low) / (2 * 1.96) == pytest.approx(scales.log().std().item() / 50**0.5, rel=0.25)
    alike = row_of(drawn("normal", shape=(50, 400)))
    low, high = alike.intervals["mu"]
    assert (high - low) / (2 * 1.96) == pytest.approx(alike.sigma / 20_000**0.5, rel=0.25)


def test_beside_initialisation_and_controls() -> None:
    before, after = {"w": drawn("normal", 1)}, {"w": drawn("lognormal", 2)}
    report = weight_microstructure(after, baseline=before)
    row = report.rows[0]
    assert row.initial is not None
    assert row.J_init == row.initial.J_corrected == pytest.approx(0.163, abs=0.02)
    assert row.initial.verdict == "rejected"
    assert "at initialisation)" in row.sentence
    assert {name: c.verdict for name, c in report.controls_of(row).items()} == {
        "Gaussian": "rejected",
        "Laplace": "rejected",
        "lognormal": "supported",
    }
    assert [line["name"] for line in report.table()][:2] == ["w", "w at initialisation"]
    assert "Low power" not in report.note
    assert "Initialisation was not given" not in report.note
    assert "any density is an arbitrage equilibrium" in report.note
    assert "R^2" not in str(report)
    without = weight_microstructure(after, controls=False)
    assert without.controls == ()
    assert "Initialisation was not given for any tensor" in without.note
    assert "(initialisation not given)" in without.rows[0].sentence


def test_at_small_sizes_the_controls_say_how_little_can_be_told() -> None:
    report = weight_microstructure({"w": drawn("lognormal", shape=(20, 30))})
    assert report.rows[0].verdict in ("compatible", "rejected")
    assert "Low power at these sizes" in report.note


def test_initial_weights_of_layers() -> None:
    """A layer of torch begins uniform, J .419; one initialised as He et al. begins Gaussian, J .163."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 128), nn.Conv1d(32, 64, 3))
        nn.init.kaiming_normal_(net[2].weight)
    report = weight_microstructure(net, controls=False)
    found = {row.name: round(row.J_corrected, 1) for row in report.rows}
    assert found == {"0.weight": 0.4, "2.weight": 0.2, "3.weight": 0.4}
    assert report.spread["sigma"][0] < 1.02 < 1.1 < report.spread["sigma"][1]
    assert "and sigma from 0.9" in report.note
    state = weight_microstructure(net.state_dict(), controls=False)
    assert [row.row() for row in state.rows] == [row.row() for row in report.rows]


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(40, 50)
        self.small = nn.Linear(3, 4)
        self.norm = nn.LayerNorm((30, 40))
        self.batch = nn.BatchNorm2d(600)
        self.constant = nn.Parameter(torch.full((30, 30), -0.1))
        self.zeros = nn.Parameter(torch.zeros(30, 30))
        self.sparse = nn.Parameter(torch.eye(400))
        self.scale = nn.Parameter(torch.randn(1, 600, 1, 1))
        self.register_buffer("fourier", torch.randn(40, 40))
        self.register_buffer("counts", torch.zeros(40, 40, dtype=torch.int64))
        self.tied = nn.Linear(40, 50)
        self.tied.weight = self.linear.weight


def test_what_is_skipped_and_why() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Odd()
    report = weight_microstructure(net, controls=False)
    assert [row.name for row in report.rows] == ["linear.weight"]
    reasons = {s.name: s.reason for s in report.skipped}
    assert reasons["linear.bias"] == reasons["batch.weight"] == "a vector (bias, or scale of a norm)"
    assert reasons["small.weight"] == "under 500 entries"
    assert reasons["norm.weight"] == "a bias or the scale of a norm, by its layer"
    assert reasons["constant"] == "all entries of one size"
    assert reasons["zeros"] == "all zeros"
    assert reasons["sparse"] == "under 500 entries that are not zero (99.8% zeros)"
    assert reasons["scale"] == "a vector by its shape (scale of channels)"
    assert reasons["fourier"] == "a buffer of the module"
    assert reasons["counts"] == "no real numbers but int64"
    assert f"{len(report.skipped)} tensors were skipped" in report.note
    by_state = {s.name: s.reason for s in weight_microstructure(net.state_dict(), controls=False).skipped}
    assert by_state["tied.weight"] == "the same memory as 'linear.weight'"
    assert by_state["norm.weight"] == "a bias or norm, by name"
    assert "fourier" not in by_state  # no name tells


def test_fixed_tensors_of_a_state_dict() -> None:
    state = {"stft.basis": drawn("normal"), "w": drawn("normal", 1)}
    assert len(weight_microstructure({"normal_head.weight": state["w"]}, controls=False).rows) == 1
    guessed = weight_microstructure(state, controls=False)
    assert [s.reason for s in guessed.skipped] == ["fixed, by its name (fixed=() keeps it)"]
    assert len(weight_microstructure(state, controls=False, fixed=()).rows) == 2
    assert [r.name for r in weight_microstructure(state, controls=False, fixed=["w"]).rows] == ["stft.basis"]
    with pytest.raises(UnknownNameError, match="unknown tensor 'v'"):
        weight_microstructure(state, fixed=["v"])


def test_nothing_to_measure_is_no_error() -> None:
    report = weight_microstructure({"w": torch.zeros(30, 30)})
    assert (report.rows, report.controls, report.spread) == ((), (), {})
    assert report.note.startswith("No tensor was measured.")


def test_exact_zeros_are_counted_and_left_out() -> None:
    weights = drawn("normal")
    pruned = torch.where(torch.arange(200) % 4 == 0, 0.0, weights)
    row, kept = row_of(pruned), row_of(weights[:, torch.arange(200) % 4 != 0])
    assert row.zero_share == 0.25
    assert (row.n, row.J, row.vuong) == (kept.n, kept.J, kept.vuong)
    assert "25.0% exact zeros left out" in row.sentence


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_low_precision(dtype: torch.dtype) -> None:
    row, exact = row_of(drawn("normal").to(dtype)), row_of(drawn("normal"))
    assert (row.verdict, row.winner) == ("rejected", "half_normal")
    assert row.J_corrected == pytest.approx(exact.J_corrected, abs=0.003)
    assert ("tied" in row.sentence) == (dtype != torch.float32)


def test_eight_bits_are_read_and_tie() -> None:
    row = row_of(drawn("normal").to(torch.float8_e4m3fn))
    assert row.tied_share > 0.99
    assert row.zero_share < 0.01
    assert row.verdict == "rejected"


def test_a_part_of_a_very_large_tensor() -> None:
    weights = drawn("lognormal", shape=(300, 200))
    row = row_of(weights, largest=30_000)
    assert (row.n, row.used, row.verdict) == (60_000, 30_000, "supported")
    assert "measured on 30,000 of them, drawn at random" in row.sentence


def test_the_same_seed_gives_the_same_report_and_another_seed_other_intervals() -> None:
    weights = {"w": drawn("laplace", shape=(40, 50))}
    one, two = (weight_microstructure(weights, seed=3, bootstrap=9) for _ in range(2))
    assert one == two
    other = weight_microstructure(weights, seed=4, bootstrap=9)
    assert one.rows[0].vuong == other.rows[0].vuong
    assert one.rows[0].intervals != other.rows[0].intervals


def test_p_values_when_asked() -> None:
    row = row_of(drawn("laplace", shape=(30, 40)), bootstrap=19, families=["lognormal", "exponential", "half_normal"])
    assert row.p_values["lognormal"] == 0.05
    assert row.p_values["exponential"] > 0.05


def test_numbers_that_are_not_finite_name_the_tensor() -> None:
    bad = drawn("normal")
    bad[3, 4] = float("nan")
    with pytest.raises(DataError, match="'layers.1.weight': 1 of 20000 entries are NaN or infinite"):
        weight_microstructure({"layers.0.weight": drawn("normal"), "layers.1.weight": bad})
    with pytest.raises(DataError, match="'w at initialisation': 1 of"):
        weight_microstructure({"w": drawn("normal")}, baseline={"w": bad})


@pytest.mark.usefixtures("unchecked")
def test_bad_input() -> None:
    state = {"w": drawn("normal")}
    with pytest.raises(InvalidSettingError, match="got str, expected a module or a state dict: read a file with"):
        weight_microstructure("net.safetensors")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="got no tensor in a dict"):
        weight_microstructure({"epoch": 3})
    with pytest.raises(DataError, match="'weight' has no values"):
        weight_microstructure(nn.LazyLinear(3))
    with pytest.raises(DataError, match="'weight' has no values"):
        weight_microstructure(nn.Linear(30, 30, device="meta"))
    with pytest.raises(InvalidSettingError, match="minimum: got 3"):
        weight_microstructure(state, minimum=3)
    with pytest.raises(InvalidSettingError, match="bootstrap=-1"):
        weight_microstructure(state, bootstrap=-1)
    with pytest.raises(InvalidSettingError, match="pass the state dict of the same network"):
        weight_microstructure(state, baseline={"other": drawn("normal")})
    with pytest.raises(InvalidSettingError, match=r"'w' has shape \(3, 3\), expected \(100, 200\)"):
        weight_microstructure(state, baseline={"w": torch.eye(3)})
    with pytest.raises(UnknownNameError, match="unknown family 'cauchy'"):
        weight_microstructure(state, families=["lognormal", "cauchy"])


def test_a_constant_start_is_said_to_be_none() -> None:
    report = weight_microstructure({"w": drawn("normal")}, baseline={"w": torch.zeros(SHAPE)}, controls=False)
    assert report.rows[0].J_init is None


def test_a_vector_has_no_rows_to_resample() -> None:
    assert measure(sample_of("v", np.random.default_rng(0).normal(size=(1, 600)))).intervals == {}


@pytest.mark.gpu
def test_weights_on_a_device() -> None:
    weights = drawn("normal").float()
    assert row_of(weights.cuda()).row() == row_of(weights).row()


def test_speed() -> None:
    """65,536 weights in well under a second of CPU time, intervals included; the best of three runs."""
    weights, spent = {"w": drawn("normal", shape=(256, 256))}, []
    for _ in range(3):
        start = time.process_time()
        weight_microstructure(weights, controls=False)
        spent.append(time.process_time() - start)
    assert min(spent) < 1.0, spent
