"""Modules that cannot be played in stages are refused, and the error names the layer and how to mend it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.networks import StagedNet, alignments, check_batch, from_module, network_game, residual_mlp


class Custom(nn.Module):
    """Two layers `a`, `b`, whatever else is given, and a forward pass of the test's own."""

    def __init__(self, run: Callable[..., object], **parts: object) -> None:
        super().__init__()
        self.a, self.b, self.run = nn.Linear(4, 4), nn.Linear(4, 4), run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.run(self, x)


def adds_in_place(self, x):
    h = self.a(x)
    h += x
    return self.b(h)


def scales_in_place(self, x):
    h = self.a(x)
    h *= 2
    return self.b(h)


def sets_items(self, x):
    h = self.a(x)
    h[:, 0] = 0
    return self.b(h)


def branches(self, x):
    h = self.a(x)
    if h.sum() > 0:
        h = -h
    return self.b(h)


def loops(self, x):
    return self.b(sum(row for row in self.a(x)))


def counts(self, x):
    return self.b(self.a(x) * sum(range(x.shape[1])))


def without_gradient(self, x):
    with torch.no_grad():
        h = self.a(x)
    return self.b(h)


def with_autocast(self, x):
    with torch.autocast("cpu", torch.bfloat16):
        h = self.a(x)
    return self.b(h)


def asks_mode(self, x):
    return self.b(self.a(x) if self.training else x)


def chain(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), layer, nn.Linear(4, 4))


def with_hook() -> nn.Module:
    module = chain(nn.ReLU())
    module[1].register_forward_hook(lambda *_: None)
    return module


def tied() -> nn.Module:
    module = chain(nn.Linear(4, 4))
    module[1].weight = module[0].weight
    return module


def frozen_in_part() -> nn.Module:
    module = chain(nn.Linear(4, 4))
    module[1].bias.requires_grad_(False)
    return module


class Starred(nn.Linear):
    def forward(self, *xs):  # pyright: ignore[reportIncompatibleMethodOverride]
        return functional.linear(xs[0], self.weight.detach())


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x, y):
        return self.a(x) + y


def of_mode() -> nn.Module:
    return Custom(lambda m, x: m.a(x) + torch.tensor(float(m.training)))


def frozen() -> nn.Module:
    return chain(nn.ReLU()).requires_grad_(False)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "x += y": (lambda: Custom(adds_in_place), r"forward \(Custom\), x \+= y: it works in place.*x = x \+ y"),
    "x *= y": (lambda: Custom(scales_in_place), r"x \*= y: it works in place.*x = x \* y"),
    "setitem": (lambda: Custom(sets_items), r"x\[\.\.\.\] = y: it works in place.*torch\.where"),
    "relu_": (lambda: Custom(lambda m, x: m.b(m.a(x).relu_())), r"\.relu_\(\): it works in place.*call \.relu\(\)"),
    "add_": (lambda: Custom(lambda m, x: m.b(m.a(x).add_(1))), r"\.add_\(\): it works in place.*call \.add\(\)"),
    "torch.relu_": (lambda: Custom(lambda m, x: torch.relu_(m.a(x))), "relu_: it works in place.*call relu instead"),
    "inplace=True": (
        lambda: Custom(lambda m, x: m.b(functional.relu(m.a(x), inplace=True))),
        r"relu\(\.\.\., inplace=True\): it works in place.*leave inplace=True out",
    ),
    "inplace by position": (
        lambda: Custom(lambda m, x: m.b(functional.leaky_relu(m.a(x), 0.1, True))),
        r"leaky_relu\(\.\.\., inplace=True\): it works in place",
    ),
    "out=": (lambda: Custom(lambda m, x: torch.add(x, m.a(x), out=x)), r"add\(\.\.\., out=\.\.\.\): it works in place"),
    "ReLU(inplace)": (lambda: chain(nn.ReLU(inplace=True)), r"layer 1 \(ReLU\): it works in place.*inplace=False"),
    "Dropout(inplace)": (lambda: chain(nn.Dropout(inplace=True)), r"layer 1 \(Dropout\): it works in place"),
    "nested": (
        lambda: nn.Sequential(nn.Linear(4, 4), Custom(adds_in_place)),
        r"in 1 \(Custom\), x \+= y: it works in place",
    ),
    "called twice": (lambda: Custom(lambda m, x: m.a(m.a(x))), r"layer a \(Linear\): it is called more than once"),
    "tied weights": (tied, r"layer 1 \(Linear\): it shares its weight with layer 0 \(Linear\).*weights of its own"),
    "LSTM": (
        lambda: Custom(lambda m, x: m.r(x)[0], r=nn.LSTM(4, 4)),
        r"layer r \(LSTM\): it is not supported: .*several",
    ),
    "attention": (
        lambda: Custom(lambda m, x: m.r(x, x, x)[0], r=nn.MultiheadAttention(4, 1)),
        r"layer r \(MultiheadAttention\): it is not supported.*neither be played nor kept",
    ),
    "two inputs": (
        lambda: Custom(lambda m, x: m.r(x, m.a(x)), r=nn.Bilinear(4, 4, 2)),
        r"layer r \(Bilinear\): it is not supported: .*reads one tensor",
    ),
    "Embedding": (
        lambda: chain(nn.Embedding(4, 4)),
        r"layer 1 \(Embedding\): it is not supported.*left out of the game.*requires_grad_\(False\).*plain gradient",
    ),
    "PReLU": (lambda: chain(nn.PReLU()), r"layer 1 \(PReLU\): it is not supported"),
    "weight norm": (
        lambda: chain(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))),
        r"layer 1 \(ParametrizedLinear\): it is not supported",
    ),
    "raw parameter": (
        lambda: Custom(lambda m, x: m.b(m.a(x)) * m.gain, gain=nn.Parameter(torch.ones(4))),
        r"the nn.Parameter gain \(of Custom\): it is read by the forward pass itself.*no player",
    ),
    "a layer's weight": (
        lambda: Custom(lambda m, x: functional.linear(m.b(x), m.a.weight)),
        r"the nn.Parameter a\.weight \(of Linear\): it is read by the forward pass itself",
    ),
    "branches": (
        lambda: Custom(branches),
        "an `if`, `while` or `assert` asks for the value of gt.*only when data runs",
    ),
    "loops": (lambda: Custom(loops), "a loop runs over a, whose length is known only when data runs"),
    "counts": (lambda: Custom(counts), "torch.fx could not follow it without data.*out of reach"),
    "float": (lambda: Custom(lambda m, x: m.a(x) * float(x.mean())), "torch.fx could not follow it without data"),
    "item": (lambda: Custom(lambda m, x: m.a(x) * x.mean().item()), r"\.item\(\): it makes numbers of a tensor"),
    "no_grad": (lambda: Custom(without_gradient), r"it switches gradients off.*\.detach\(\)"),
    "autocast": (lambda: Custom(with_autocast), "it switches autocast on"),
    "training": (lambda: Custom(asks_mode), "other things in training than in evaluation mode"),
    "a constant of the mode": (of_mode, "other things in training than in evaluation mode"),
    "star": (lambda: Starred(4, 4), r"it takes \*xs, expected one named argument"),
    "pair": (Pair, "its output depends on 2 inputs, expected one tensor"),
    "functional dropout": (
        lambda: Custom(lambda m, x: m.b(functional.dropout(m.a(x), 0.5))),
        "dropout: it draws random numbers.*nn.Dropout",
    ),
    "noise": (lambda: Custom(lambda m, x: m.a(x) + torch.randn_like(x)), "randn_like: it draws random numbers"),
    "bernoulli": (lambda: Custom(lambda m, x: m.a(x).bernoulli()), r"\.bernoulli\(\): it draws random numbers"),
    "fresh noise": (lambda: Custom(lambda m, x: m.a(x) + torch.randn(4)), "it draws random numbers"),
    "RReLU": (lambda: chain(nn.RReLU()), r"layer 1 \(RReLU\): it draws random numbers"),
    "batch_norm": (
        lambda: Custom(lambda m, x: functional.batch_norm(m.a(x), None, None, training=True)),
        "batch_norm: it may change running statistics.*nn.BatchNorm",
    ),
    "two outputs": (lambda: Custom(lambda m, x: (m.a(x), m.b(x))), "got 2 outputs, expected one tensor"),
    "a dictionary": (lambda: Custom(lambda m, x: {"y": m.a(x)}), "got 1 outputs, expected one tensor"),
    "no output": (lambda: Custom(lambda m, x: 3), "got the output 3, expected one tensor"),
    "a constant": (lambda: Custom(lambda m, x: m.a(torch.ones(4))), "depends on 0 inputs, expected one tensor"),
    "hooks": (with_hook, r"layer 1 \(ReLU\): it has hooks.*remove them"),
    "lazy": (lambda: chain(nn.LazyLinear(4)), r"layer 1 \(LazyLinear\): its parameters have no shape yet"),
    "frozen in part": (frozen_in_part, r"layer 1 \(Linear\): a part of its parameters is frozen"),
    "frozen": (frozen, "no layer with parameters to train"),
    "no parameters": (lambda: nn.Sequential(nn.ReLU()), "no layer with parameters to train"),
    "compiled": (lambda: Custom(loops, _orig_mod=nn.Linear(2, 2)), "it is compiled.*give the module itself"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_played_is_refused_by_name(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InvalidGameError, match=f"(?s){message}"):
        from_module(make())


@pytest.mark.parametrize(
    "name", ["x += y", "called twice", "tied weights", "LSTM", "attention", "raw parameter", "noise"]
)
def test_some_things_are_refused_even_where_gradients_would_do(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InvalidGameError, match=f"(?s){message}"):
        from_module(make(), unsupported="gradient")


def test_dropout_inside_of_a_kept_layer_is_refused() -> None:
    encoder = nn.TransformerEncoderLayer(4, 1, 8, dropout=0.1)
    with pytest.raises(
        InvalidGameError, match=r"layer 1 \(TransformerEncoderLayer\): it has dropout inside.*dropout=0"
    ):
        from_module(chain(encoder), unsupported="gradient")
    with pytest.warns(UserWarning, match="TransformerEncoderLayer"):
        from_module(chain(nn.TransformerEncoderLayer(4, 1, 8, dropout=0.0)), unsupported="gradient")


def test_a_submodule_with_raw_parameters_is_kept_whole_on_request() -> None:
    gain = Custom(lambda m, x: m.a(x) * m.gain, gain=nn.Parameter(torch.ones(4)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        staged = from_module(chain(gain), unsupported="gradient")
    assert ["layer 1 (Custom)" in str(w.message) for w in caught] == [True]
    assert [(u.name, u.kind) for u in staged.units] == [("0", "linear"), ("1", "other"), ("2", "linear")]


def test_a_refusal_leaves_the_module_as_it_was() -> None:
    module = Custom(asks_mode).train()
    before = set(vars(module))
    with pytest.raises(InvalidGameError):
        from_module(module)
    assert module.training and module.a.training and set(vars(module)) == before


def test_unused_parts_are_no_reason_to_refuse() -> None:
    module = Custom(lambda m, x: m.b(m.a(x)), rnn=nn.LSTM(4, 4), gain=nn.Parameter(torch.ones(4)))
    assert [p.name for p in from_module(module).players] == ["a", "b"]


def staged() -> StagedNet:
    return from_module(residual_mlp(6, (5,), stem=7, classes=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"blocks.0.second": 1},
            r"player blocks\.0\.second in stage 1 and player blocks\.0\.first in stage 1.*stage 2",
        ),
        ({"head": 0}, r"player head in stage 0 and player blocks\.0\.second in stage 2.*stage 3 or a later"),
        ({"blocks.0.shortcut": 0}, r"blocks\.0\.shortcut in stage 0 and player stem in stage 0"),
        ({"stem": -1}, r"the stages \{'stem': -1\}, expected whole numbers"),
        ({"stem": True}, r"the stages \{'stem': True\}, expected whole numbers"),
        ({"stme": 0}, r"unknown players \['stme'\] and without \[\]"),
    ],
)
def test_alignments_that_violate_the_data_flow_are_refused(change: dict[str, int], message: str) -> None:
    net = staged()
    with pytest.raises(InvalidGameError, match=message):
        net.realign({**net.alignment, **change})
    with pytest.raises(InvalidGameError, match=message):
        from_module(net.module, {**net.alignment, **change})


def test_alignments_of_other_names_or_kinds_are_refused() -> None:
    with pytest.raises(InvalidGameError, match=r"without \['blocks.0.first'"):
        staged().realign({"stem": 0})
    with pytest.raises(InvalidGameError, match="got the alignment 'soon', expected 'early', 'late', or a mapping"):
        staged().realign("soon")
    with pytest.raises(InvalidSettingError, match="got unsupported='keep'"):
        from_module(nn.Linear(2, 2), unsupported="keep")
    for limit in (0, -1, True):
        with pytest.raises(InvalidSettingError, match="limit="):
            alignments(staged(), limit)


def test_more_alignments_than_anyone_lists_ask_for_a_limit() -> None:
    net = from_module(residual_mlp(6, (4,) * 13, stem=4, classes=3))
    assert len(alignments(net, limit=5)) == 5
    with pytest.raises(InvalidSettingError, match="more than 4096 alignments.*give limit="):
        alignments(net)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False)])
def test_a_batch_of_one_is_refused_where_a_norm_needs_several(norm: nn.Module) -> None:
    module = chain(norm)
    with pytest.raises(InvalidGameError, match=r"layer 1 \(BatchNorm1d\): got a batch of one sample.*drop_last"):
        check_batch(from_module(module), torch.zeros(1, 4))
    check_batch(from_module(module), torch.zeros(2, 4))
    check_batch(from_module(module.eval()), torch.zeros(1, 4))
    with pytest.raises(InvalidGameError, match="got no samples"):
        check_batch(from_module(module), torch.zeros(0, 4))


def test_games_refuse_random_layers_and_batches_of_one() -> None:
    inputs, targets = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 4
    dropping = chain(nn.Dropout(0.5))
    with pytest.raises(InvalidGameError, match=r"layer 1 \(Dropout\): its output is random.*module.eval"):
        network_game(dropping, inputs, targets)
    network_game(dropping.eval(), inputs, targets)
    network_game(chain(nn.Dropout(0.0)), inputs, targets)
    normed = chain(nn.BatchNorm1d(4))
    with pytest.raises(InvalidGameError, match=r"layer 1 \(BatchNorm1d\): got a batch of one"):
        network_game(normed, inputs[:1], targets[:1])
    game = network_game(normed, inputs, targets)
    with pytest.raises(InvalidGameError, match=r"layer 1 \(BatchNorm1d\): got a batch of one"):
        game.minibatch(0, size=1).field(game.initial(0))


def test_data_that_does_not_fit_is_refused_with_the_stages_players() -> None:
    def run(inputs: Tensor) -> None:
        network_game(chain(nn.ReLU()), inputs, torch.zeros(3, dtype=torch.long), name="mine")

    with pytest.raises(InvalidGameError, match=r"mine, stage 0 \['0'\]: got a state of shapes \[\(2, 5\)\]"):
        run(torch.zeros(3, 5))
