"""Any torch module in stages: the states of the paper's examples, live layers, the module's own numbers bitwise."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from strategic_envs.games.networks import (
    Player,
    StagedNet,
    State,
    Unit,
    alignments,
    from_module,
    inception,
    kind_of,
    mlp,
    plain,
    residual_conv,
    residual_mlp,
    resnet18,
)

NETWORKS = {
    "mlp": lambda: (mlp([6, 5, 4, 3]), (4, 6)),
    "residual": lambda: (residual_mlp(6, (5, 4), stem=7, classes=3), (4, 6)),
    "identity": lambda: (residual_mlp(6, (5, 5), stem=5, classes=3, shortcut="identity"), (4, 6)),
    "conv": lambda: (residual_conv(1, (3, 4), (1, 2), stem=2, norm="batch"), (4, 1, 8, 8)),
    "inception": lambda: (inception(1), (4, 1, 8, 8)),
    "resnet": lambda: (resnet18(width=4), (4, 3, 8, 8)),
}


def samples(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def states(staged: StagedNet, inputs: Tensor) -> list[State]:
    found: list[State] = [(inputs,)]
    for stage in staged.stages:
        found.append(stage.run(found[-1], plain))
    return found


class Block(nn.Module):
    """relu(W2 relu(W1 z) + Ws z), then a head; without Ws if `shortcut` is False."""

    def __init__(self, shortcut: bool) -> None:
        super().__init__()
        self.stem, self.first = nn.Linear(6, 4), nn.Linear(4, 3)
        self.second = nn.Linear(3, 5 if shortcut else 4)
        self.shortcut = nn.Linear(4, 5) if shortcut else None
        self.head = nn.Linear(5 if shortcut else 4, 2)

    def forward(self, x):
        z = torch.tanh(self.stem(x))
        main = self.second(torch.relu(self.first(z)))
        return self.head(torch.relu(main + (z if self.shortcut is None else self.shortcut(z))))


@pytest.mark.parametrize("alignment", ["late", "early"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_stages_give_bitwise_what_the_module_gives(name: str, alignment: str) -> None:
    module, shape = NETWORKS[name]()
    inputs = samples(*shape)
    staged = from_module(module, alignment)
    for training in (False, True):  # batch norms change their running statistics alike
        expected = copy.deepcopy(module.train(training))
        assert torch.equal(staged(inputs), expected(inputs))
        for b, e in zip(module.buffers(), expected.buffers(), strict=True):
            assert torch.equal(b, e)


def test_late_block_carries_the_blocks_input_to_the_shortcut() -> None:
    module, x = Block(True), samples(3, 6)
    staged = from_module(module, "late")
    assert [tuple(p.name for p in s.players) for s in staged.stages] == [
        ("stem",),
        ("first",),
        ("second", "shortcut"),
        ("head",),
    ]
    z = torch.tanh(module.stem(x))
    a = torch.relu(module.first(z))
    expected = [(x,), (z,), (z, a), (torch.relu(module.second(a) + module.shortcut(z)),), (module(x),)]
    for state, values in zip(states(staged, x), expected, strict=True):
        assert len(state) == len(values) and all(torch.equal(s, v) for s, v in zip(state, values, strict=True))


def test_early_block_carries_the_shortcuts_output() -> None:
    module, x = Block(True), samples(3, 6)
    staged = from_module(module, "early")
    assert [tuple(p.name for p in s.players) for s in staged.stages] == [
        ("stem",),
        ("first", "shortcut"),
        ("second",),
        ("head",),
    ]
    z = torch.tanh(module.stem(x))
    a, s = torch.relu(module.first(z)), module.shortcut(z)
    expected = [(x,), (z,), (a, s), (torch.relu(module.second(a) + s),), (module(x),)]
    for state, values in zip(states(staged, x), expected, strict=True):
        assert len(state) == len(values) and all(torch.equal(s, v) for s, v in zip(state, values, strict=True))


def test_an_identity_shortcut_is_carried_and_has_no_player() -> None:
    module, x = Block(False), samples(3, 6)
    for alignment in ("late", "early"):
        staged = from_module(module, alignment)
        assert [p.name for p in staged.players] == ["stem", "first", "second", "head"]
        assert [[tuple(v.shape) for v in state] for state in states(staged, x)] == [
            [(3, 6)],
            [(3, 4)],
            [(3, 4), (3, 3)],
            [(3, 4)],
            [(3, 2)],
        ]


def test_inceptions_free_players_move_early_or_late() -> None:
    staged = from_module(inception(1, (4,)), "early")
    first, second = staged.stages[1], staged.stages[2]
    assert [p.name.split(".")[-1] for p in first.players] == ["single", "reduce3", "reduce5", "pooled"]
    assert [p.name.split(".")[-1] for p in second.players] == ["conv3", "conv5"]
    widths = [[v.shape[1] for v in state] for state in states(staged, samples(2, 1, 8, 8))]
    assert len(widths[2]) == 4 and len(widths[3]) == 1  # four branches, then their concatenation (and its mean)
    late = staged.realign("late")
    assert [p.name.split(".")[-1] for p in late.stages[1].players] == ["reduce3", "reduce5"]
    assert len(states(late, samples(2, 1, 8, 8))[2]) == 3  # the pooled image waits: it would lie beside the image


def test_resnet18_has_three_free_players_and_eight_alignments() -> None:
    staged = from_module(resnet18(width=2))
    found = alignments(staged)
    assert len(found) == 8 == len({tuple(a.values()) for a in found})
    assert found[0] == staged.alignment and found[-1] == staged.realign("early").alignment
    assert [n for n, t in found[0].items() if t != found[-1][n]] == [
        name for name, t in staged.alignment.items() if "shortcut" in name
    ]
    assert alignments(staged, limit=3) == found[:3]
    assert max(found[0].values()) == 17  # eighteen layers in a row


def test_players_are_numbered_stage_by_stage_and_own_their_units() -> None:
    staged = from_module(residual_conv(1, (3, 4), (1, 2), stem=2, norm="batch"))
    assert [(p.stage, p.number) for p in staged.players] == [
        (t, n) for t, stage in enumerate(staged.stages) for n in range(len(stage.players))
    ]
    for i, player in enumerate(staged.players):
        assert isinstance(player, Player) and all(unit.player == i for unit in player.units)
        assert player.name == player.units[0].name and staged.alignment[player.name] == player.stage
        assert set(player.units) <= set(staged.stages[player.stage].units)
    kinds = {tuple(unit.kind for unit in player.units) for player in staged.players}
    assert kinds == {("conv", "norm"), ("linear",)}
    assert all(staged.module.get_submodule(unit.name) is unit.module for unit in staged.units)


def test_apply_sees_every_unit_once_in_order() -> None:
    module, shape = NETWORKS["conv"]()
    staged, seen = from_module(module), []

    def apply(unit: Unit, value: Tensor) -> Tensor:
        seen.append(unit)
        return unit.module(value)

    state: State = (samples(*shape),)
    for stage in staged.stages:
        start = len(seen)
        state = stage.run(state, apply)
        assert tuple(seen[start:]) == stage.units
    assert set(seen) == set(staged.units) and len(seen) == len(staged.units)


def test_stages_read_the_modules_parameters_and_buffers_live() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.register_buffer("shift", torch.zeros(3))

        def forward(self, x):
            return self.layer(x) + self.shift

    module = Shifted()
    staged, x = from_module(module), samples(2, 3)
    with torch.no_grad():
        module.layer.weight.mul_(2)
    module.shift = torch.ones(3)
    assert torch.equal(staged(x), module(x))
    module.double()
    assert torch.equal(staged(x.double()), module(x.double()))


def test_realigned_stages_share_units_by_name_and_are_made_once() -> None:
    module = Block(True)
    staged = from_module(module)
    early = staged.realign("early")
    assert early is staged.realign({name: t - (name == "shortcut") for name, t in staged.alignment.items()})
    assert staged.realign("late") is staged is early.realign("late")
    assert {u.name: u.module for u in staged.units} == {u.name: u.module for u in early.units}
    assert torch.equal(early(samples(3, 6)), module(samples(3, 6)))


def test_a_mapping_may_leave_a_stage_without_players() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))
    staged = from_module(module, {"0": 0, "2": 2})
    assert [len(s.players) for s in staged.stages] == [1, 0, 1]
    assert torch.equal(staged(samples(2, 3)), module(samples(2, 3)))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_run_the_copys_own_layers(copied) -> None:
    staged = from_module(residual_mlp(6, (5, 4), stem=7, classes=3), "early")
    other = copied(staged)
    assert other.alignment == staged.alignment
    for unit in other.units:
        assert unit.module is other.module.get_submodule(unit.name)
        assert unit.module is not staged.module.get_submodule(unit.name)
    x = samples(4, 6)
    assert torch.equal(other(x), staged(x))
    with torch.no_grad():
        next(other.module.parameters()).add_(1)
    assert not torch.equal(other(x), staged(x))


def test_frozen_layers_belong_to_the_dynamics() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
    module[0].requires_grad_(False)
    module[3].requires_grad_(False)
    staged = from_module(module)
    assert [p.name for p in staged.players] == ["1", "4"]  # the norm's layer is frozen: it plays alone
    assert [u.player for u in staged.units] == [-1, 0, -1, 1]
    assert [[u.name for u in s.units] for s in staged.stages] == [["0", "1", "3"], ["4"]]  # frozen ones run early
    assert torch.equal(staged(samples(5, 3)), copy.deepcopy(module)(samples(5, 3)))


def test_a_frozen_norm_leaves_its_layer_the_player() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    module[1].requires_grad_(False)
    assert [tuple(u.name for u in p.units) for p in from_module(module).players] == [("0",), ("2",)]


def test_dropout_is_a_unit_without_player_and_repeated_calls_have_their_own_names() -> None:
    drop = nn.Dropout(0.5)
    module = nn.Sequential(nn.Linear(3, 4), drop, nn.Linear(4, 4), drop, nn.Linear(4, 2))
    staged = from_module(module)
    assert [(u.name, u.kind, u.player) for u in staged.units if u.kind == "dropout"] == [
        ("1", "dropout", -1),
        ("1:2", "dropout", -1),
    ]
    torch.manual_seed(0)
    first = staged(samples(2, 3))
    torch.manual_seed(0)
    assert torch.equal(first, module(samples(2, 3)))


def test_only_a_norm_that_alone_reads_a_layer_joins_it() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm, self.head = nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)

        def forward(self, x):
            a = self.layer(x)
            return self.head(self.norm(a) + a)

    assert [p.name for p in from_module(Shared()).players] == ["layer", "norm", "head"]
    first = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 2))
    assert [p.name for p in from_module(first).players] == ["0", "1", "3"]


def test_units_are_told_by_the_forward_that_they_run() -> None:
    class Same(nn.Linear):
        pass

    class Other(nn.Linear):
        def forward(self, x):
            return functional.linear(x, 2 * self.weight, self.bias)

    assert kind_of(Same(2, 2)) == "linear" and kind_of(Other(2, 2)) == "other"
    assert (
        kind_of(nn.BatchNorm1d(2, affine=False)) == "norm"
        and kind_of(nn.LayerNorm(2, elementwise_affine=False)) is None
    )
    assert kind_of(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))) == "other"


class Attention(nn.Module):
    """Buffers, shapes, chunks, item by number, constants and an activation that reads its input twice."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.out, self.head = nn.Linear(4, 12), nn.Linear(4, 4), nn.Linear(4, 2)
        self.register_buffer("place", samples(1, 5, 4))

    def forward(self, x, scale=2.0, mask=None):
        n = x.shape[0]
        x = x + self.place
        q, k, v = self.mix(x).chunk(3, -1)
        y = x + self.out(functional.scaled_dot_product_attention(q, k, v))
        y = y * torch.sigmoid(y)
        return self.head(y.max(1)[0].view(n, -1) * scale + torch.arange(4) + x.new_zeros(n, 1))


class Squeeze(nn.Module):
    """Shapes of a tensor that are needed three stages later."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.less, self.more = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.Linear(2, 4)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = functional.silu(self.conv(x))
        b, c, _, _ = x.size()
        gate = torch.sigmoid(self.more(torch.relu(self.less(x.mean((2, 3)).view(b, c))))).view(b, c, 1, 1)
        return self.head((x * gate).mean((2, 3)).reshape(x.shape[0], -1))


@pytest.mark.parametrize(("module", "shape"), [(Attention(), (3, 5, 4)), (Squeeze(), (3, 3, 8, 8))])
def test_shapes_chunks_and_constants_are_followed(module: nn.Module, shape: tuple[int, ...]) -> None:
    staged = from_module(module)
    for n in (3, 2):  # the number of samples is not written into the stages
        assert torch.equal(staged(samples(n, *shape[1:])), module(samples(n, *shape[1:])))
    assert all(s.is_floating_point() for state in states(staged, samples(*shape)) for s in state)
    assert "_tensor_constant0" not in vars(module)  # the user's module is not written to


class Tree(nn.Module):
    """A part that gives a tuple and a dictionary, keyword calls, lists, infinities, named fields and defaults."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def pieces(self, x):
        h = self.part(x)
        return h, {"both": [h, x]}

    def forward(self, x, *, mask=None, **options):
        h, found = self.pieces(x)
        y = self.a(input=found["both"][0] - found["both"][1])
        y = y if mask is None else y * mask
        low, high = torch.split(y, 2, dim=1)
        best = torch.topk(y, 2)
        y = torch.cat([high, low], 1).clamp(min=-float("inf"), max=1.0)
        return (self.b(y) + best.values.sum(1, keepdim=True) + h)[:, [0, 2]].to(torch.float32)


def test_what_a_forward_may_be_written_with() -> None:
    module, x = Tree(), samples(3, 4)
    for alignment in ("late", "early"):
        assert torch.equal(from_module(module, alignment)(x), module(x))
    again = fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))  # a graph already
    assert torch.equal(from_module(again)(x), again(x))


def test_a_swish_passes_one_tensor() -> None:
    class Swish(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = self.a(x)
            return self.b(h * torch.sigmoid(h))

    assert [len(s) for s in states(from_module(Swish()), samples(2, 3))] == [1, 1, 1]


def test_a_single_layer_is_a_network() -> None:
    layer = nn.Linear(3, 2)
    staged = from_module(layer)
    assert [u.module for u in staged.units] == [layer] and torch.equal(staged(samples(2, 3)), layer(samples(2, 3)))


def test_unsupported_layers_are_kept_on_request_with_a_warning() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.PReLU(), nn.Linear(3, 2))
    with pytest.warns(UserWarning, match=r"layer 1 \(PReLU\) has no matrix form.*plain gradient steps"):
        staged = from_module(module, unsupported="gradient")
    assert [u.kind for u in staged.units] == ["linear", "other", "linear"]
    assert torch.equal(staged(samples(2, 3)), module(samples(2, 3)))
    assert [u.kind for u in copy.deepcopy(staged).units] == ["linear", "other", "linear"]  # warned once


def test_a_traceback_shows_the_stages_line() -> None:
    staged = from_module(mlp([3, 4, 2]))
    with pytest.raises(RuntimeError) as caught:
        staged(samples(2, 5))
    assert any("stage 0 of Sequential" in str(entry.path) for entry in caught.traceback)
    assert "apply(unit_0, " in staged.stages[0].code
