"""Every count and fraction that is known of the strategic test set."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.evaluators.perfect_play import perfect_play
from strategic_envs.evaluators.strategic_classes import CLASSES, SYMMETRIES, canonical, strategic_classes
from strategic_envs.games.tic_tac_toe import LINES, TicTacToe, parse_board

GAME = TicTacToe()
GRAPH = GAME.state_graph()
CODES, _ = canonical(GRAPH.states)


@pytest.mark.parametrize(
    ("name", "states", "representatives", "x", "o"),
    [
        ("win1", 2358, 321, 1498, 860),
        ("block1", 976, 133, 396, 580),
        ("lost", 508, 72, 116, 392),
        ("fork", 192, 26, 160, 32),
        ("prevent_fork", 254, 37, 68, 186),
        ("other", 232, 38, 185, 47),
    ],
)
def test_size_of_each_class_up_to_symmetry_and_by_mover(name, states, representatives, x, o):
    mask = strategic_classes()[name]
    movers = [int((mask & (GRAPH.mover == p)).sum()) for p in (0, 1)]
    assert [int(mask.sum()), len(CODES[mask].unique()), *movers] == [states, representatives, x, o]


def test_every_position_is_in_exactly_one_class():
    classes = strategic_classes()
    count = sum(classes[name].long() for name in CLASSES)
    assert torch.equal(count, (~GRAPH.terminal).long())
    assert torch.equal(classes.kind == -1, GRAPH.terminal)


def test_win1_has_one_winning_cell_in_1950_a_threat_in_1754_and_value_tells_it_in_only_1638():
    classes = strategic_classes()
    win1 = classes["win1"]
    assert int((win1 & (classes.wins.sum(-1) == 1)).sum()) == 1950
    assert int((win1 & classes.threats.any(-1)).sum()) == 1754
    assert int((win1 & (classes.perfect.keeps == classes.wins).all(-1)).sum()) == 1638
    assert torch.equal(classes.correct[win1], classes.wins[win1])


def test_block1_is_lost_in_116_and_the_one_move_that_keeps_the_value_in_860():
    classes = strategic_classes()
    block1 = classes["block1"]
    assert int((block1 & (classes.perfect.value < 0)).sum()) == 116
    assert int((block1 & (classes.perfect.keeps == classes.threats).all(-1)).sum()) == 860
    assert int((block1 & classes.scored).sum()) == 860
    assert torch.equal(classes.correct[block1], classes.threats[block1])  # also where it only delays the loss


def test_lost_positions_lose_by_every_move_and_are_not_scored():
    classes = strategic_classes()
    lost = classes["lost"]
    assert bool((classes.perfect.value[lost] == -1).all())
    assert torch.equal(classes.perfect.keeps[lost], GRAPH.legal[lost])
    assert not bool((lost & classes.scored).any())


def test_every_fork_wins_and_forks_are_all_that_keeps_the_value_in_176_of_192():
    classes = strategic_classes()
    fork = classes["fork"]
    assert bool((classes.perfect.value[fork] == 1).all())
    assert bool((~classes.forks[fork] | classes.perfect.keeps[fork]).all())
    assert int((fork & (classes.perfect.keeps == classes.forks).all(-1)).sum()) == 176
    assert torch.equal(classes.correct[fork], classes.forks[fork])  # in depth they are all of it
    assert bool((classes.perfect.plies[fork] == 3).all())


def test_prevent_fork_is_right_where_the_value_is_kept():
    classes = strategic_classes()
    prevent = classes["prevent_fork"]
    assert torch.equal(classes.correct[prevent], classes.perfect.keeps[prevent])


def test_critical_positions():
    critical = strategic_classes().perfect.critical
    assert int(critical.sum()) == 3191 and len(CODES[critical].unique()) == 431


@pytest.mark.parametrize(
    ("name", "share"),
    [("win1", 0.5544), ("block1", 0.4099), ("fork", 0.3330), ("prevent_fork", 0.5845), ("critical", 0.4046)],
)
def test_how_often_a_uniformly_random_move_keeps_the_value(name, share):
    classes = strategic_classes()
    mask = classes.perfect.critical if name == "critical" else classes[name]
    kept = (GAME.uniform_policy() * classes.perfect.keeps).sum(-1)
    assert float(kept[mask].mean()) == pytest.approx(share, abs=5e-5)
    assert float(kept[~GRAPH.terminal].mean()) == pytest.approx(0.5797, abs=5e-5)


def test_cell_1_wins_the_slides_position_and_cell_5_only_keeps_the_value():
    classes = strategic_classes()
    row = int(GRAPH.index(torch.tensor(parse_board("X.X / OO. / ..."))))
    assert bool(classes["win1"][row])
    assert classes.correct[row].nonzero().flatten().tolist() == [1]
    assert classes.perfect.keeps[row].nonzero().flatten().tolist() == [1, 5]
    assert classes.perfect.worth[row].nan_to_num(9).tolist() == [9, 1, 9, 9, 9, 1, -1, -1, -1]
    assert classes.perfect.plies[row] == 1 and classes.perfect.plies[GRAPH.child[row, 5]] == 2


def test_perfect_play_agrees_with_a_plain_recursion():
    known = perfect_play(GAME)

    def solve(row: int) -> tuple[int, int]:
        if GRAPH.terminal[row]:
            return -1 if bool(GRAPH.returns[row].any()) else 0, 0  # who is to move has just lost
        options = [(-v, p + 1) for v, p in (solve(int(GRAPH.child[row, a])) for a in legal(row))]
        best = max(v for v, _ in options)
        plies = [p for v, p in options if v == best]
        return best, min(plies) if best > 0 else max(plies) if best < 0 else plies[0]

    def legal(row: int) -> list[int]:
        return GRAPH.legal[row].nonzero().flatten().tolist()

    for row in [*range(GRAPH.levels[5].start, GRAPH.levels[5].stop, 37), *range(GRAPH.levels[6].start, 4000, 91)]:
        value, plies = solve(row)
        assert known.value[row] == value
        if value:
            assert known.plies[row] == plies
        children = {a: solve(int(GRAPH.child[row, a])) for a in legal(row)}
        assert known.keeps[row].nonzero().flatten().tolist() == [a for a, (v, _) in children.items() if -v == value]


def test_perfect_play_is_for_zero_sum_games_of_two_players():
    class Shared(TicTacToe):
        def returns(self, state):
            return super().returns(state).abs()

    with pytest.raises(InvalidGameError, match="zero-sum games of two players"):
        perfect_play(Shared())


def test_symmetries_keep_lines_and_classes():
    lines = {frozenset(line) for line in LINES}
    assert len(set(SYMMETRIES)) == 8
    assert all({frozenset(s[c] for c in line) for line in LINES} == lines for s in SYMMETRIES)
    kind = strategic_classes().kind
    assert torch.equal(kind, kind[GRAPH.index(CODES)])


def test_canonical_is_reached_by_the_symmetry_that_is_named():
    codes, index = canonical(GRAPH.states)
    for row in range(0, len(codes), 61):
        where = SYMMETRIES[int(index[row])]
        moved = sum((int(GRAPH.states[row]) >> (c + m) & 1) << (where[c] + m) for c in range(9) for m in (0, 9))
        assert moved == int(codes[row])
    assert torch.equal(canonical(codes)[0], codes)


def test_unknown_class_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'prevent_fork'"):
        _ = strategic_classes()["prevent-fork"]
