"""Markets that firms enter and leave: the long run is a distribution over states, not a cycle.

A state tells who was in the market last; who will be is random. Strategies then make a Markov chain, and everything
that is called *on path* is weighted by the long-run share of each state, from the state in which learning ended.
Values and best responses are exact: they take expectations over who will be in the market.

An impulse response needs a cycle to come back to. It is taken in each market in turn, as if nobody entered or left any
more, and averaged over markets in their long-run shares; it is flagged as not exact.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.collusion.analysis import Analysis
from strategic_envs.evaluators.collusion.impulse import ImpulseResponse, response_of
from strategic_envs.evaluators.collusion.references import best_prices, references
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["analyse_comings", "held_response", "long_run", "market_chances"]


def market_chances(tables: PricingTables) -> tuple[np.ndarray, np.ndarray, bool]:
    """How likely each market is after each state `(S, D)`; which states can occur `(S,)`; and whether that is exact.

    Who was in the market last tells the market of the last period, unless two markets have the same firms: they are
    then weighted by their long-run shares, which is not exact.
    """
    n, m, b, k = tables.n, tables.m, tables.base, tables.memory
    codes = np.arange(tables.n_states)
    powers = b ** (k * np.arange(n)[::-1])
    own = codes[:, None] // powers % b**k  # (S, n): a firm's digits, latest first
    possible = np.ones(len(codes), dtype=bool)
    seen = np.zeros((len(codes), len(tables.present)), dtype=bool)
    for lag in range(k):
        here = own // b ** (k - 1 - lag) % b < m
        fits = (here[:, None] == tables.present[None]).all(-1)
        possible &= fits.any(-1)
        seen = fits if lag == 0 else seen
    weight = np.where(seen.any(-1, keepdims=True), seen * tables.share, tables.share)
    weight = weight / weight.sum(-1, keepdims=True)
    twins = [tables.chain[seen[s]] for s in np.unique(seen, axis=0, return_index=True)[1]]
    exact = all(len(rows) == 0 or bool(np.allclose(rows, rows[0], rtol=0, atol=1e-15)) for rows in twins)
    return weight @ tables.chain, possible, exact


def long_run(flow: csr_array, start: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The long-run shares `(S,)` of a chain's states from one of them, where else it may end, and its closed classes.

    Returns:
        The shares; for every state whether it may end in a class that is not reached from `start`; and how many closed
        classes there are among the states with any flow.

    Example:
        >>> shares, _, classes = long_run(csr_array(np.array([[0.5, 0.5], [1.0, 0.0]])), 0)
        >>> shares.round(4).tolist(), classes
        ([0.6667, 0.3333], 1)
    """
    size = len(flow.indptr) - 1
    count, label = connected_components(flow, connection="strong")
    rows, columns = flow.nonzero()
    leaves = np.zeros(count, dtype=bool)
    leaves[label[rows[label[rows] != label[columns]]]] = True
    alive = np.zeros(count, dtype=bool)
    alive[label[rows]] = True
    closed = np.flatnonzero(alive & ~leaves)

    ahead = np.zeros(size, dtype=bool)
    ahead[start] = True
    grown = np.array([start])
    while len(grown):
        following = np.unique(np.concatenate([flow.indices[flow.indptr[s] : flow.indptr[s + 1]] for s in grown]))
        grown = following[~ahead[following]]
        ahead[grown] = True
    own = [c for c in closed if ahead[label == c].any()]

    shares = np.zeros(size)
    passing = np.flatnonzero(ahead & ~np.isin(label, own))
    visits = np.zeros(size)
    visits[start] = 1.0
    if len(passing):
        inside = flow[passing][:, passing]
        begin = (passing == start).astype(np.float64)
        visits[passing] = _solve((identity(len(passing)) - inside).T, begin)
    for c in own:
        members = np.flatnonzero(label == c)
        entered = 1.0 if len(own) == 1 else float((visits[passing] @ flow[passing][:, members]).sum())
        system = (identity(len(members)) - flow[members][:, members]).T.tolil()
        system[0] = np.ones(len(members))
        right = np.zeros(len(members))
        right[0] = 1.0
        shares[members] = entered * _solve(system, right)
    other = np.isin(label, closed) & ~np.isin(label, own)
    back = flow.T.tocsr()
    grown = np.flatnonzero(other)
    while len(grown):
        before = np.unique(np.concatenate([back.indices[back.indptr[s] : back.indptr[s + 1]] for s in grown]))
        grown = before[~other[before]]
        other[grown] = True
    return shares, other, len(closed)


def _solve(matrix: Any, right: np.ndarray) -> np.ndarray:
    return np.atleast_1d(np.asarray(spsolve(matrix.tocsc(), right)))


def analyse_comings(tables: PricingTables, strategy: np.ndarray, state: np.ndarray, converged: np.ndarray) -> Analysis:
    """The figures of sessions in a market that firms enter and leave; see `Analysis`."""
    from strategic_envs.evaluators.collusion.graph import codec
    from strategic_envs.evaluators.collusion.sessions import TOLERANCE
    from strategic_envs.evaluators.collusion.switching import judge_firm, moves

    code = codec(tables)
    chance, possible, exact = market_chances(tables)
    sessions, n, size = strategy.shape
    markets = len(tables.present)
    profit = np.ascontiguousarray(tables.profit.transpose(0, 2, 1))
    here = tables.present.astype(np.float64)
    after, joint = np.zeros((markets, size), np.int64), np.zeros(size, np.int64)
    from_state = np.tile(np.flatnonzero(possible), markets)
    per_firm = np.zeros((6, sessions, n))
    price_share, profits = np.zeros((sessions, n, tables.m)), np.zeros((sessions, n))
    symmetric, perfect, solved = (np.ones(sessions, bool) for _ in range(3))
    strays, attractors = np.zeros(sessions, np.int64), np.zeros(sessions, np.int64)
    loss, gain, worst = np.zeros(size), np.zeros(size), np.zeros((sessions, n))
    for b in range(sessions):
        own = np.ascontiguousarray(strategy[b], dtype=np.int16)
        moves(tables.m, *code, tables.present, own, after, joint)
        flow = csr_array(
            coo_array((chance[possible].T.ravel(), (from_state, after[:, possible].ravel())), shape=(size, size))
        )
        flow.eliminate_zeros()
        weight, elsewhere, attractors[b] = long_run(flow, int(state[b]))
        path = weight > 0
        strays[b] = int((elsewhere & possible).sum())
        symmetric[b] = bool((own[:, path] == own[0, path]).all())
        profits[b] = np.einsum("s,sd,dns->n", weight[path], chance[path], profit[:, :, joint[path]])
        for i in range(n):
            seen = weight[path] * (chance[path] @ here[:, i])
            np.add.at(price_share[b, i], own[i, path], seen / seen.sum() if seen.sum() > 0 else seen)
            solved[b] &= judge_firm(
                tables.m, profit, tables.delta, code.stride, code.place, tables.present, chance, own, after, joint,
                i, loss, gain,
            )  # fmt: skip
            off = possible & ~path
            per_firm[:, b, i] = (
                loss[path].max() <= TOLERANCE,
                weight @ loss,
                loss[off].mean() if off.any() else np.nan,
                gain[path].max() <= TOLERANCE,
                weight @ gain,
                gain[possible].mean(),
            )
            perfect[b] &= bool(loss[possible].max() <= TOLERANCE)
            worst[b, i] = gain[possible].max()
    return Analysis(
        converged=converged,
        cycle_length=np.zeros(sessions, np.int64),
        symmetric=symmetric,
        price_share=price_share,
        prices=np.einsum("bnm,nm->bn", price_share, tables.grid),
        profits=profits,
        gain=tables.profit_gain(profits),
        one_shot=per_firm[0] > 0,
        loss_on_path=per_firm[1],
        loss_off_path=per_firm[2],
        exact=per_firm[3] > 0,
        exploitability=per_firm[4],
        exploitability_everywhere=per_firm[5],
        exploitability_worst=worst,
        reply_cycle=np.zeros((sessions, n), np.int64),
        perfect=perfect,
        strays=strays,
        attractors=attractors,
        states=int(possible.sum()),
        references=references(tables),
        solved=solved,
        is_exact=tables.exact and exact,
    )


def held_response(
    tables: PricingTables,
    strategy: np.ndarray,
    state: np.ndarray,
    deviation: str | int,
    periods: int,
    converged: np.ndarray,
) -> ImpulseResponse:
    """The impulse response in each market with at least two firms, held fixed, averaged in the markets' shares."""
    from strategic_envs.evaluators.collusion.graph import codec
    from strategic_envs.evaluators.collusion.paths import deviate_sessions

    code = codec(tables)
    chosen = [d for d in range(len(tables.present)) if tables.present[d].sum() > 1 and tables.share[d] > 0]
    if not chosen:
        raise InvalidGameError("impulse_response: got no market with two firms in it, expected one: who should answer?")
    share = tables.share[chosen] / tables.share[chosen].sum()
    parts: list[tuple[np.ndarray, ...]] = []
    for d in chosen:
        here = tables.present[d]
        shift = code.shift + int((code.stride * ~here).sum()) * tables.m
        paths, figures = np.zeros((len(state), 2, periods + 1)), np.zeros((len(state), 7))
        cases, lengths = np.zeros(len(state), np.int64), np.zeros((len(state), periods + 2), np.int64)
        deviate_sessions(
            tables.grid, np.ascontiguousarray(tables.profit[d].T), tables.delta,
            shift, code.stride * here, code.place, np.ascontiguousarray(strategy, dtype=np.int16),
            state.astype(np.int64), np.flatnonzero(here), best_prices(tables.profit[d], tables.n, tables.m),
            -1 if isinstance(deviation, str) else int(deviation), deviation == "figure4_compat",
            cases, paths, figures, lengths,
        )  # fmt: skip
        parts.append((cases, paths, figures, lengths))
    cases, paths, figures, lengths = (np.stack(kind) for kind in zip(*parts, strict=True))
    found = response_of(
        deviation,
        converged,
        cases.sum(0),
        np.einsum("d,dbpt->bpt", share, paths),
        np.einsum("d,dbf->bf", share, figures),
        lengths.sum(0),
    )
    return dataclasses.replace(found, is_exact=False)
