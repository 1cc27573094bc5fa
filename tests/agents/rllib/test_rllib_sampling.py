from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.rllib import rollout_markov as markov_file
from strategic_envs.agents.rllib import rollout_one_shot as one_shot_file
from strategic_envs.agents.rllib import rollout_turn_based as turn_based_file
from strategic_envs.agents.rllib.exact_turn_based import regularised_fields
from strategic_envs.agents.rllib.sampling import (
    Scores,
    action_cdf,
    draw_actions,
    leave_one_out,
    score_objective,
    sum_scores,
)
from strategic_envs.seeding import torch_stream


def stream(seed: int = 0) -> torch.Generator:
    return torch_stream(seed, "test")


def test_an_action_of_probability_zero_is_never_drawn() -> None:
    logits = torch.tensor([-3.4e38, 0.0, -3.4e38, 1.0, -3.4e38]).expand(200_000, 5)
    drawn = draw_actions(action_cdf(logits), stream())
    assert set(drawn.tolist()) == {1, 3}
    assert (drawn == 3).double().mean().item() == pytest.approx(torch.tensor(1.0).sigmoid().item(), abs=0.005)


def test_draws_are_the_same_bytes_for_the_same_seed() -> None:
    cdf = action_cdf(torch.zeros(100, 3))
    assert draw_actions(cdf, stream()).equal(draw_actions(cdf, stream()))
    assert not draw_actions(cdf, stream()).equal(draw_actions(cdf, stream(1)))


def test_leave_one_out_subtracts_the_mean_of_the_others() -> None:
    returns = torch.randn(4, 7, generator=stream(), dtype=torch.float64)
    for k in range(7):
        others = torch.cat([returns[:, :k], returns[:, k + 1 :]], dim=-1).mean(-1)
        assert leave_one_out(returns)[:, k].sub(returns[:, k] - others).abs().max() < 1e-12
    assert leave_one_out(returns[:, :1]).equal(returns[:, :1])


def test_sums_of_scores_are_the_sums_of_one_hot_rows() -> None:
    rows, actions = torch.randint(4, (50,), generator=stream()), torch.randint(3, (50,), generator=stream(1))
    weights = torch.randn(50, generator=stream(2), dtype=torch.float64)
    expected = torch.zeros(4, 3, dtype=torch.float64).index_put_((rows, actions), weights, accumulate=True)
    assert sum_scores(rows, actions, weights, (4, 3)).allclose(expected, atol=1e-12)


def test_masked_logits_do_not_make_the_objective_infinite() -> None:
    logits = torch.tensor([[0.0, -3.4028234663852886e38]], requires_grad=True)
    objective = score_objective(logits, torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(objective, logits)
    assert objective.isfinite() and gradient.isfinite().all()


def test_learners_shares_add_up_to_the_whole() -> None:
    whole = Scores(torch.randn(5, 2), None, torch.randn(5, 3, dtype=torch.float64))
    parts = [whole.share(k, 2) for k in range(2)]
    logits = torch.randn(5, 3)
    apart = sum(score_objective(logits[k::2], p.coefficient) for k, p in enumerate(parts))
    assert torch.allclose(torch.as_tensor(apart), score_objective(logits, whole.coefficient), atol=1e-5)


# Unbiasedness, exactly: every possible sequence of draws is played, and the estimates are averaged with their
# probabilities.


class Script:
    """Stands in for `draw_actions`: plays given actions and multiplies up their probability."""

    def __init__(self, actions: Sequence[int]) -> None:
        self.actions, self.probability = iter(actions), 1.0

    def __call__(self, cdf: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.tensor(list(itertools.islice(self.actions, cdf[..., 0].numel())))
        density = torch.diff(cdf, prepend=torch.zeros_like(cdf[..., :1]), dim=-1)
        self.probability *= density.gather(-1, chosen.unsqueeze(-1)).prod().item()
        return chosen


def expectation(
    monkeypatch: pytest.MonkeyPatch, file: object, play: Callable[[], list[Scores]], scripts: Iterator[Sequence[int]]
) -> list[Tensor]:
    """The expected coefficients of each player, over all scripts."""
    total: list[Tensor] = []
    mass = 0.0
    for actions in scripts:
        script = Script(actions)
        monkeypatch.setattr(file, "draw_actions", script)
        scores = play()
        assert next(script.actions, None) is None, "the script is as long as the play"
        parts = [s.coefficient * script.probability for s in scores]
        total = parts if not total else [a + b for a, b in zip(total, parts, strict=True)]
        mass += script.probability
    assert mass == pytest.approx(1.0, abs=1e-12)
    return total


def test_one_shot_scores_are_unbiased(monkeypatch: pytest.MonkeyPatch, pennies) -> None:
    logits = [torch.tensor([0.3, -0.4], dtype=torch.float64), torch.tensor([0.9, 0.1], dtype=torch.float64)]
    expected = expectation(
        monkeypatch,
        one_shot_file,
        lambda: one_shot_file.rollout_one_shot(pennies, logits, 2, stream()),
        itertools.product(range(2), repeat=4),
    )
    for i in range(2):
        x = [v.clone().requires_grad_() for v in logits]
        utility = pennies.utilities([v.softmax(-1) for v in x])[i]
        (exact,) = torch.autograd.grad(utility, x[i])
        leaf = logits[i].clone().requires_grad_()
        (estimate,) = torch.autograd.grad(score_objective(leaf.unsqueeze(0), expected[i]), leaf)
        assert (estimate - exact).abs().max() < 1e-12


def finite_horizon_value(game, tables: Sequence[Tensor], player: int, horizon: int) -> Tensor:
    """(1 - d) E sum of d^t r over the horizon, from state 0, by dynamic programming."""
    tabs = game.tables()
    joint = tables[0].unsqueeze(2) * tables[1].unsqueeze(1)  # (S, A0, A1)
    joint = joint.reshape(game.n_states, -1)
    value = torch.zeros(game.n_states, dtype=torch.float64)
    for _ in range(horizon):
        ahead = (tabs.probability * value[tabs.next_state]).sum(-1)
        value = (joint * (tabs.payoff[..., player] + game.discount * ahead)).sum(-1)
    return value[0] * (1 - game.discount)


@pytest.mark.parametrize("tabular", [True, False])
def test_markov_scores_are_unbiased(monkeypatch: pytest.MonkeyPatch, two_rooms, tabular: bool) -> None:
    logits = [torch.randn(2, 2, generator=stream(i), dtype=torch.float64) for i in range(2)]
    if not tabular:
        monkeypatch.setattr(type(two_rooms), "n_states", 10**6)

    def play() -> list[Scores]:
        policies = [lambda obs, v=v: v[obs.argmax(-1).clamp(max=1)] for v in logits]
        return markov_file.rollout_markov(two_rooms, policies, 2, 2, stream())

    if tabular:
        expected = expectation(monkeypatch, markov_file, play, itertools.product(range(2), repeat=8))
    else:  # the observations of each row say which state it is

        def summed() -> list[Scores]:
            return [
                Scores(
                    s.obs, None, torch.zeros(2, 2, dtype=torch.float64).index_add_(0, s.obs.argmax(-1), s.coefficient)
                )
                for s in play()
            ]

        expected = expectation(monkeypatch, markov_file, summed, itertools.product(range(2), repeat=8))
        monkeypatch.setattr(type(two_rooms), "n_states", 2)
    for i in range(2):
        leaf = logits[i].clone().requires_grad_()
        tables = [(leaf if j == i else v).softmax(-1) for j, v in enumerate(logits)]
        (exact,) = torch.autograd.grad(finite_horizon_value(two_rooms, tables, i, 2), leaf)
        leaf = logits[i].clone().requires_grad_()
        (estimate,) = torch.autograd.grad(score_objective(leaf, expected[i]), leaf)
        assert (estimate - exact).abs().max() < 1e-12


@pytest.mark.parametrize("temperature", [0.0, 0.4])
def test_turn_based_scores_are_unbiased(monkeypatch: pytest.MonkeyPatch, nim, temperature: float) -> None:
    logits = [torch.randn(5, 2, generator=stream(i), dtype=torch.float64) for i in range(2)]

    def policy(i: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda obs, mask: logits[i][obs.argmax(-1)].masked_fill(~mask, -1e30)

    def play() -> list[Scores]:
        scores, _ = turn_based_file.rollout_turn_based(
            nim, [policy(0), policy(1)], 2, stream(), temperature=temperature
        )
        return [  # the observation is the number of stones, on which the policy depends
            Scores(s.obs, None, torch.zeros(5, 2, dtype=torch.float64).index_add_(0, s.obs.argmax(-1), s.coefficient))
            for s in scores
        ]

    def scripts() -> Iterator[list[int]]:
        """Two games move together: at each move, one action of each game that still runs, in order."""

        def extend(stones: tuple[int, int], so_far: list[int]) -> Iterator[list[int]]:
            live = [k for k in range(2) if stones[k] > 0]
            if not live:
                yield so_far
                return
            for actions in itertools.product(*([a for a in (0, 1) if a + 1 <= stones[k]] for k in live)):
                left = list(stones)
                for k, a in zip(live, actions, strict=True):
                    left[k] -= a + 1
                yield from extend((left[0], left[1]), [*so_far, *actions])

        return extend((4, 4), [])

    expected = expectation(monkeypatch, turn_based_file, play, scripts())
    graph = nim.state_graph()
    stones = nim.observe(graph.states, 0).argmax(-1)
    for i in range(2):
        leaf = logits[i].clone().requires_grad_()
        allowed = graph.legal | graph.terminal.unsqueeze(-1)
        tables = [
            (leaf if j == i else v)[stones].masked_fill(~allowed, -1e30).softmax(-1) for j, v in enumerate(logits)
        ]
        slopes = regularised_fields(nim, [t.detach() for t in tables], temperature=temperature)
        (exact,) = torch.autograd.grad(tables[i], leaf, slopes[i], retain_graph=True)
        if temperature == 0:
            assert exact.allclose(torch.autograd.grad(nim.values(nim.merge(tuple(tables)))[0, i], leaf)[0], atol=1e-12)
        leaf = logits[i].clone().requires_grad_()
        masked = leaf.masked_fill(torch.tensor([[True, True], [False, True], *[[False, False]] * 3]), -1e30)
        (estimate,) = torch.autograd.grad(score_objective(masked, expected[i]), leaf)
        assert (estimate - exact).abs().max() < 1e-12
