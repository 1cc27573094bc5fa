from __future__ import annotations

import copy
import pickle

import pytest
import torch

from strategic_envs.profile import Profile

X = Profile([torch.tensor([1.0]), torch.tensor([2.0, 3.0])])


def test_arithmetic_is_that_of_the_flat_vector() -> None:
    y = Profile([torch.tensor([5.0]), torch.tensor([7.0, 11.0])])
    for profile, flat in (
        (X + y, X.flat() + y.flat()),
        (X - y, X.flat() - y.flat()),
        (X * y, X.flat() * y.flat()),
        (X / y, X.flat() / y.flat()),
        (-X, -X.flat()),
        (2 * X - X * 0.5 + X / 4, 1.75 * X.flat()),
        (torch.tensor(3.0) * X, 3 * X.flat()),
        (X + 1.0, X.flat() + 1),
    ):
        assert isinstance(profile, Profile)
        torch.testing.assert_close(profile.flat(), flat)
    assert X.dot(y).item() == (X.flat() @ y.flat()).item()
    assert X.norm().item() == pytest.approx(X.flat().norm().item())


def test_flat_and_back_is_the_same_profile() -> None:
    x = Profile([torch.randn(4, 5, 1), torch.randn(4, 5, 3)])
    back = Profile.from_flat(x.flat(), x.dims)
    assert all(torch.equal(a, b) for a, b in zip(x, back, strict=True))
    assert x.dims == (1, 3) and x.batch_shape == (4, 5)
    with pytest.raises(ValueError, match=r"4 coordinates cannot be cut into players of dimensions \[1, 2\]"):
        Profile.from_flat(x.flat(), [1, 2])


def test_a_step_size_a_row_broadcasts_over_every_player() -> None:
    x = Profile([torch.ones(3, 1), torch.ones(3, 2)])
    stepped = x * torch.tensor([[1.0], [2.0], [3.0]])
    assert stepped.flat().tolist() == [[1.0] * 3, [2.0] * 3, [3.0] * 3]
    assert x.dot(x).tolist() == [3.0] * 3


def test_players_of_unlike_batches_are_broadcast_in_products() -> None:
    x = Profile([torch.ones(3, 1), torch.ones(2)])
    assert x.batch_shape == (3,) and x.dot(x).tolist() == [3.0] * 3 and x.isfinite().tolist() == [True] * 3


def test_replace_map_clone_and_detach_make_new_profiles() -> None:
    y = X.replace(0, torch.tensor([9.0]))
    assert y[0].item() == 9.0 and X[0].item() == 1.0 and y[1] is X[1]
    clone = X.clone()
    clone[0].add_(1.0)
    assert X[0].item() == 1.0
    assert X.map(torch.square).flat().tolist() == [1.0, 4.0, 9.0]
    grad = Profile([torch.ones(1, requires_grad=True)])
    assert not grad.detach()[0].requires_grad
    assert {t.dtype for t in X.to(torch.float64)} == {torch.float64}


def test_finiteness_is_told_by_row() -> None:
    x = Profile([torch.tensor([[1.0], [float("nan")], [0.0]]), torch.tensor([[0.0], [0.0], [float("inf")]])])
    assert x.isfinite().tolist() == [True, False, False]


def test_profiles_of_unlike_players_do_not_add() -> None:
    with pytest.raises(ValueError, match="zip"):
        X + Profile([torch.ones(1)])


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_profiles_copy_and_pickle(clone) -> None:
    y = clone(X)
    assert isinstance(y, Profile) and torch.equal(y.flat(), X.flat())


def test_torch_func_sees_a_profile_as_a_tuple() -> None:
    gradient = torch.func.grad(lambda x: (x[0] * x[1]).sum())(tuple(X))
    assert [g.tolist() for g in gradient] == [[5.0], [1.0, 1.0]]
