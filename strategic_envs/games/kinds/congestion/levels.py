"""The exact answer of one population whose strategies share no resource: one level of cost, as water finds its level.

Every strategy then takes the flow at which it costs the level, or nothing where it costs more when empty. A pass of
pairs needs thousands of rounds where there are hundreds of such strategies; this needs one. Import this module late:
numba takes half a second.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.games.kinds.congestion.kernel import cost, path_cost, slope
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["fill", "separate"]


@exact_loop
def separate(starts, resources, first, size):
    """Which populations have three strategies or more, of which no two share a resource."""
    apart = np.zeros(len(first) - 1, np.bool_)
    seen = np.full(size, -1)
    for k in range(len(apart)):
        apart[k] = first[k + 1] - first[k] > 2
        for i in range(starts[first[k]], starts[first[k + 1]]):
            apart[k] = apart[k] and seen[resources[i]] != k
            seen[resources[i]] = k
    return apart


@exact_loop
def _costs_at(starts, resources, rates, a, p, log, loads, q, extra):
    """What strategy q costs when its flow is larger by `extra`, and the slope of that."""
    value, steep = 0.0, 0.0
    for i in range(starts[q], starts[q + 1]):
        e, rate = resources[i], rates[i]
        x = max(loads[e] + rate * extra, 0.0)
        value += rate * cost(a, p, log, e, x)
        steep += rate * rate * slope(a, p, log, e, x)
    return value, steep


@exact_loop
def _flow_at(starts, resources, rates, a, p, log, loads, q, own, level, low, high):
    """The flow in [low, high] at which strategy q costs `level`; `loads` are those with its present flow `own`.

    Newton's method, and halving of the bracket where it would leave it or gains too little.
    """
    if _costs_at(starts, resources, rates, a, p, log, loads, q, low - own)[0] >= level:
        return low
    if _costs_at(starts, resources, rates, a, p, log, loads, q, high - own)[0] <= level:
        return high
    new, last = 0.5 * (low + high), np.inf
    while low < new < high:
        value, steep = _costs_at(starts, resources, rates, a, p, log, loads, q, new - own)
        off = value - level
        if off == 0.0:
            return new
        if off > 0.0:
            high = new
        else:
            low = new
        newton = new - off / steep if 0.0 < steep < np.inf and abs(off) < 0.5 * last else low
        if newton == new:
            return new
        new, last = newton if low < newton < high else 0.5 * (low + high), abs(off)
    return low


@exact_loop
def fill(starts, resources, rates, flows, a, p, log, loads, costs, begin, end):
    """Brings strategies `begin..end - 1`, of one population and apart from each other, to one level of cost.

    Flows, loads and costs change in place. Nothing is done where a strategy costs minus infinity or all cost the same.
    """
    mass, low, high = 0.0, np.inf, -np.inf
    for q in range(begin, end):
        c = path_cost(starts, resources, rates, costs, q)
        mass += flows[q]
        low = min(low, c)
        if flows[q] > 0.0:
            high = max(high, c)
    if not -np.inf < low < high:
        return
    now = flows[begin:end].copy()
    under, over, found = np.zeros(len(now)), np.full(len(now), mass), np.zeros(len(now))
    for _ in range(200):  # the level lies in [low, high], and the flows at it between `under` and `over`
        level = 0.5 * (low + high)
        if not low < level < high:
            break
        for j in range(len(now)):
            q = begin + j
            found[j] = _flow_at(starts, resources, rates, a, p, log, loads, q, now[j], level, under[j], over[j])
        if found.sum() > mass:
            high = level
            over[:] = found
        else:
            low = level
            under[:] = found
    rest = over.sum() - under.sum()  # a flat cost may leave them apart at one level: the mass decides how far to go
    share = (mass - under.sum()) / rest if rest > 0.0 else 0.0
    for j in range(len(now)):
        flows[begin + j] = under[j] + share * (over[j] - under[j])
    for q in range(begin, end):
        for i in range(starts[q], starts[q + 1]):
            e = resources[i]
            loads[e] = max(loads[e] + rates[i] * (flows[q] - now[q - begin]), 0.0)
            costs[e] = cost(a, p, log, e, loads[e])
