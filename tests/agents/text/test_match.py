"""Games between tables, models and anybody who takes turns."""

from __future__ import annotations

import json

import pytest
import torch

from strategic_envs.agents.text import NoAnswerError, TablePlayer, TextPlayer, Turn, play_game, play_games
from strategic_envs.baselines.turn_based import fixed_player
from strategic_envs.errors import IllegalActionError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.seeding import numpy_stream

GAME = TicTacToe()


def table(name: str) -> TablePlayer:
    return TablePlayer(GAME, fixed_player(GAME, name), name)


def test_games_follow_the_rules_and_sides_change():
    match = play_games(GAME, table("lowest"), table("uniform_random"), 20, seed=3)
    assert match.side == (0, 1) * 10
    for game, side in zip(match.games, match.side, strict=True):
        assert game.players[side] == "lowest" and game.players[1 - side] == "uniform_random"
        state = torch.tensor(GAME.initial())
        for action in game.actions:
            assert bool(GAME.legal(state)[action])
            state = GAME.step(state, torch.tensor(action))
        assert bool(GAME.terminal(state)) and game.returns == tuple(GAME.returns(state).tolist())
    counts = [match.count(r) for r in ("win", "draw", "loss", "forfeit")]
    assert sum(counts) == 20 and counts[3] == 0


def test_best_play_never_loses_to_anybody_and_draws_with_itself():
    for other in ("uniform_random", "two_moves_ahead", "lowest"):
        assert play_games(GAME, table("fastest"), table(other), 40).count("loss") == 0
    assert play_games(GAME, table("fastest"), table("optimal"), 10).count("draw") == 10


def test_the_same_seed_gives_the_same_games_and_more_games_begin_with_the_same_ones():
    pair = table("uniform_random"), table("uniform_random")
    first, again, other = (play_games(GAME, *pair, n, seed=s) for n, s in ((6, 1), (8, 1), (6, 2)))
    assert [g.actions for g in first.games] == [g.actions for g in again.games][:6]
    assert [g.actions for g in first.games] != [g.actions for g in other.games]


def test_a_model_plays_whole_games_and_its_turns_are_counted(reads):
    match = play_games(GAME, TextPlayer(reads(), name="reader"), table("uniform_random"), 6)
    assert match.count("loss") == 0 and match.count("forfeit") == 0
    tally = match.tally()
    assert tally.questions == tally.first_time == tally.attempts["ok"] >= 15


def test_a_failure_loses_the_game_with_its_reason_and_the_next_one_is_played(scripted):
    model = scripted("MOVE: 0", NoAnswerError("timeout", "no answer within 5 s"), "MOVE: 4")
    match = play_games(GAME, TextPlayer(model), table("uniform_random"), 3, seed=1)
    assert match.count("forfeit") >= 1 and len(match.games) == 3
    lost = match.games[0]
    assert lost.forfeited == 0 and lost.returns == (-1.0, 1.0) and lost.result(1) == "win"
    assert lost.reason == "timeout: no answer within 5 s" == match.row()["reasons"][0]
    assert json.loads(json.dumps(lost.row()))["results"] == ["forfeit", "win"]


def test_a_player_that_breaks_the_rules_is_an_error_of_whoever_wrote_it():
    class Cheats:
        name = "cheats"

        def turn(self, state, generator):
            return Turn(state, 0)

    with pytest.raises(IllegalActionError):
        play_game(GAME, (Cheats(), Cheats()), numpy_stream(0, "game"))


def test_bad_matches_are_refused():
    with pytest.raises(InvalidSettingError, match="games=0"):
        play_games(GAME, table("lowest"), table("lowest"), 0)
    with pytest.raises(InvalidStrategyError, match="got 1 players, expected 2"):
        play_game(GAME, (table("lowest"),), numpy_stream(0, "game"))
    with pytest.raises(InvalidStrategyError, match="spoilt"):
        TablePlayer(GAME, GAME.uniform_policy() / 2, "spoilt")
