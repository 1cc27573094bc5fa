"""The cut between stages on random graphs of layers: the fewest tensors, and then as much done as possible."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import fx, nn

from strategic_envs.games.networks import alignments, from_module
from strategic_envs.games.networks.cutting import cut, values
from strategic_envs.games.networks.players import roles
from strategic_envs.games.networks.tracing import trace


class Random(nn.Module):
    """A random directed graph: each step is a layer, a sum, a product, or an activation of earlier values."""

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.plan = []
        self.layers = nn.ModuleDict()
        for i in range(steps):
            kind = int(torch.randint(4, (1,), generator=draw)) if i else 0
            reads = [int(torch.randint(max(0, i - 3), i + 1, (1,), generator=draw)) for _ in range(2)]
            self.plan.append((kind, reads))
            if kind == 0:
                self.layers[str(i)] = nn.Linear(3, 3)

    def forward(self, x):
        made = [x]
        for i, (kind, (a, b)) in enumerate(self.plan):
            if kind == 0:
                made.append(self.layers[str(i)](made[a]))
            elif kind == 1:
                made.append(torch.tanh(made[a]))
            else:
                made.append(made[a] + made[b] if kind == 2 else made[a] * made[b])
        return made[-1] + made[-2]


def crossing(sources: dict[fx.Node, tuple[fx.Node, ...]], done: set[fx.Node]) -> set[fx.Node]:
    """By definition: what has been computed and is still read."""
    return {i for node, inputs in sources.items() if node not in done for i in inputs if i in done}


@pytest.mark.parametrize("seed", range(12))
def test_states_are_smallest_and_then_latest_by_enumeration(seed: int) -> None:
    graph = trace(Random(seed, 9))
    who, what = roles(graph), values(graph)
    staged = from_module(graph.module, "late" if seed % 2 else "early")
    stage_of = {node: staged.alignment[name] for name, nodes in who.groups.items() for node in nodes}
    parts = cut(graph, what, stage_of, len(staged.stages))
    free = [n for n in what.sources if n not in stage_of and n is not graph.nodes[0]]
    done = {graph.nodes[0]}
    for t, part in enumerate(parts[:-1]):
        done |= set(part.nodes)
        fixed = {graph.nodes[0]} | {n for n, s in stage_of.items() if s <= t}
        best = []
        for chosen in itertools.product((False, True), repeat=len(free)):
            closed = fixed | {n for n, c in zip(free, chosen, strict=True) if c}
            if graph.output not in closed and all(i in closed for n in closed for i in what.sources[n]):
                best.append((len(crossing(what.sources, closed)), -len(closed), closed))
        least = min(b[:2] for b in best)
        assert (len(part.results), -len(done)) == least
        assert set(part.results) == crossing(what.sources, done)
        assert [b[2] for b in best if b[:2] == least] == [done]  # there is only one such state


@pytest.mark.parametrize("seed", range(20))
def test_every_alignment_of_a_random_network_runs_the_network(seed: int) -> None:
    module = Random(100 + seed, 12)
    staged = from_module(module)
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    expected = module(inputs)
    for alignment in alignments(staged, limit=8):
        other = staged.realign(alignment)
        assert torch.equal(other(inputs), expected)
        for before, after in itertools.pairwise(other.stages):
            assert before.results == after.slots
        for player in other.players:
            assert staged.realign("early").alignment[player.name] <= player.stage
            assert player.stage <= staged.realign("late").alignment[player.name]
