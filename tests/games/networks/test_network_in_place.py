"""Operations in place that are run out of place on request: the module's numbers and gradients, or a refusal."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.networks import from_module, network_game


def samples(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A residual block as it is often written, for images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.down, self.relu = nn.Conv2d(2, 4, 1), nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        identity = self.down(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        out = functional.leaky_relu(out, 0.1, True)
        out = torch.relu_(out.mean((2, 3)).mul_(2.0))
        return self.head(out)


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_a_usual_residual_block_runs_out_of_place_with_the_same_numbers_and_gradients(alignment: str) -> None:
    module, x = Block(), samples(3, 2, 6, 6)
    with pytest.raises(InvalidGameError, match=r"works in place.*in_place='copy'"):
        from_module(module, alignment)
    plain, staged = copy.deepcopy(module), from_module(module, alignment, in_place="copy")
    expected, got = plain(x), staged(x)
    assert torch.equal(got, expected)
    for mine, theirs in zip(
        torch.autograd.grad(got.square().sum(), list(module.parameters())),
        torch.autograd.grad(expected.square().sum(), list(plain.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    assert module.relu.inplace  # the user's layer stays as it is
    assert torch.equal(copy.deepcopy(staged)(x), copy.deepcopy(module)(x))
    assert staged.realign("early").alignment["down"] == 0


def test_stages_keep_their_states() -> None:
    staged = from_module(Block(), in_place="copy")
    state = (samples(3, 2, 6, 6),)
    for stage in staged.stages:
        before = [s.clone() for s in state]
        after = stage.run(state, lambda unit, value: unit.module(value))
        assert all(torch.equal(b, s) for b, s in zip(before, state, strict=True))
        state = after


def test_a_game_of_such_a_network_has_its_gradient() -> None:
    module, inputs, targets = Block().double(), samples(5, 2, 6, 6).double(), torch.arange(5) % 3
    game = network_game(module, inputs, targets, in_place="copy")
    functional.cross_entropy(module(inputs), targets).backward()
    expected = {name: p.grad for name, p in module.named_parameters()}
    field = game.field(game.load(module))
    names = [n for stage in game.stages for n in stage.names]
    weight = expected["down.weight"]
    assert weight is not None
    torch.testing.assert_close(-field[names.index("down")][:8], weight.reshape(-1), rtol=0, atol=1e-12)


class Layers(nn.Module):
    def __init__(self, run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.run = nn.Linear(4, 4), nn.Linear(4, 4), run

    def forward(self, x):
        return self.run(self, x)


def under_another_name(self, x):
    h = self.a(x)
    kept = h
    h += 1
    return self.b(h) + kept


def through_a_view(self, x):
    h = self.a(x)
    seen = h.view(-1, 2, 2)
    h *= 2
    return self.b(h) + seen.sum((1, 2)).unsqueeze(1)


def through_an_identity(self, x):
    h = self.a(x)
    passed = nn.functional.normalize(h)  # not known to be a new tensor
    h.add_(1.0)
    return self.b(passed)


def dropped_result(self, x):
    h = self.a(x)
    h.relu_()
    return self.b(h)


@pytest.mark.parametrize("run", [under_another_name, through_a_view, through_an_identity, dropped_result])
def test_a_tensor_that_is_read_after_it_was_overwritten_is_refused(run: Callable[..., Tensor]) -> None:
    with pytest.raises(InvalidGameError, match="overwrites a in place, and .* reads it afterwards"):
        from_module(Layers(run), in_place="copy")


def sets_items(self, x):
    h = self.a(x)
    h[:, 0] = 0
    return self.b(h)


def test_what_has_no_twin_stays_refused() -> None:
    with pytest.raises(InvalidGameError, match=r"x\[\.\.\.\] = y"):
        from_module(Layers(sets_items), in_place="copy")
    with pytest.raises(InvalidGameError, match="out="):
        from_module(Layers(lambda m, x: torch.add(x, m.a(x), out=x)), in_place="copy")
    with pytest.raises(InvalidGameError, match=r"layer 1 \(Dropout\): it works in place"):
        from_module(nn.Sequential(nn.Linear(2, 2), nn.Dropout(inplace=True)), in_place="copy")
    with pytest.raises(InvalidGameError, match="draws random numbers"):
        from_module(Layers(lambda m, x: functional.dropout(m.a(x), 0.5, True, True)), in_place="copy")
    with pytest.raises(InvalidSettingError, match="got in_place='yes', expected 'refuse' or 'copy'"):
        from_module(nn.Linear(2, 2), in_place="yes")


def test_numbers_made_of_shapes_are_not_overwritten() -> None:
    def halves(self, x):
        n = x.shape[1]
        n //= 2
        return self.b(self.a(x)).view(-1, 2, n).sum(1)

    module, x = Layers(halves), samples(3, 4)
    assert torch.equal(from_module(module)(x), module(x))
