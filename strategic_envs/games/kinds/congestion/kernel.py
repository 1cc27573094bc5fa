"""Compiled sweeps of path-based gradient projection. Import this module late: numba takes half a second.

Strategies are the rows of a CSR matrix (`starts`, `resources`, `rates`), those of population k from `first[k]` up to
`first[k + 1]`. Costs are `c_e(x) = sum_t a[e, t] x^p[e, t] + log[e] ln x`, as of `Costs.terms`.
"""

from __future__ import annotations

import math

import numpy as np

from strategic_envs.solvers.compiled import exact_loop

__all__ = ["cost", "descend", "fill_loads", "gap", "path_cost", "slope", "step_length", "sweep"]


@exact_loop
def cost(a, p, log, e, x):
    """The cost of resource e at load x."""
    total = 0.0
    for t in range(a.shape[1]):
        if a[e, t] == 0.0:
            continue
        power = p[e, t]
        if power == 0.0:
            total += a[e, t]
        elif power == 1.0:
            total += a[e, t] * x
        elif power == 4.0:
            total += a[e, t] * (x * x) * (x * x)
        else:
            total += a[e, t] * x**power
    return total if log[e] == 0.0 else total + log[e] * math.log(x) if x > 0 else -np.inf


@exact_loop
def slope(a, p, log, e, x):
    """Its derivative."""
    total = 0.0
    for t in range(a.shape[1]):
        power = p[e, t]
        if a[e, t] == 0.0 or power == 0.0:
            continue
        if power == 1.0:
            total += a[e, t]
        elif power == 4.0:
            total += 4.0 * a[e, t] * x * x * x
        else:
            total += power * a[e, t] * x ** (power - 1.0)
    return total if log[e] == 0.0 else total + log[e] / x


@exact_loop
def along(a, p, log, loads, direction, touched, count, s):
    """How the potential changes along `loads + s direction`: its derivative there, and the derivative of that."""
    g, h = 0.0, 0.0
    for i in range(count):
        e = touched[i]
        d = direction[e]
        if d != 0.0:
            x = max(loads[e] + s * d, 0.0)
            g += d * cost(a, p, log, e, x)
            h += d * d * slope(a, p, log, e, x)
    return g, h


@exact_loop
def step_length(a, p, log, loads, direction, touched, count, most, accuracy):
    """A step s in [0, most] along which the potential falls, nearly to its least value on `loads + s direction`.

    Newton's method on the potential's slope g, within a bracket that is halved where Newton would leave it or gains too
    little. It stops a little before the minimum, where g is `accuracy` of what it was, or a hundred-thousandth of that
    behind it: so the potential cannot grow.
    """
    g, h = along(a, p, log, loads, direction, touched, count, 0.0)
    if not g < 0.0:
        return 0.0
    first = -g if g > -np.inf else 1.0
    low, high, s, closed = 0.0, most, 0.0, False  # closed: the slope at `high` is known to be above 0
    for trial in range(200):
        new = s - g / h if 0.0 < h < np.inf and g > -np.inf else -1.0
        if not low < new < high or (trial == 1 and not closed):  # after one Newton step the end is tried
            new = 0.5 * (low + high) if closed else high
        if new == low or (closed and new == high):  # no number is left between them
            break
        last, s = abs(g), new
        g, h = along(a, p, log, loads, direction, touched, count, s)
        if -accuracy * first <= g <= 1e-5 * accuracy * first or (s == most and g <= 0.0):
            return s
        if g < 0.0:
            low = s
        else:
            high, closed = s, True
        if abs(g) > 0.5 * last:
            h = 0.0  # the bracket is halved next
    return low


@exact_loop
def path_cost(starts, resources, rates, costs, q):
    """What strategy q costs."""
    total = 0.0
    for i in range(starts[q], starts[q + 1]):
        total += rates[i] * costs[resources[i]]
    return total


@exact_loop
def fill_loads(starts, resources, rates, flows, loads):
    """The loads of flows, in place."""
    loads[:] = 0.0
    for q in range(len(flows)):
        if flows[q] != 0.0:
            for i in range(starts[q], starts[q + 1]):
                loads[resources[i]] += rates[i] * flows[q]


@exact_loop
def sweep(starts, resources, rates, first, flows, a, p, log, loads, costs, direction, touched):
    """Once over all populations: flow moves from every dearer strategy to the cheapest one until both cost the same.

    Flows, loads and costs change in place and at once (Gauss-Seidel). `direction` is a row of zeros `(E,)` and
    `touched` room for resources.

    Returns:
        Whether any flow moved.
    """
    moved = False
    for k in range(len(first) - 1):
        best = first[k]
        least = path_cost(starts, resources, rates, costs, best)
        for q in range(first[k] + 1, first[k + 1]):
            c = path_cost(starts, resources, rates, costs, q)
            if c < least:
                best, least = q, c
        for q in range(first[k], first[k + 1]):
            if q == best or flows[q] == 0.0:
                continue
            count = 0
            for i in range(starts[best], starts[best + 1]):
                direction[resources[i]] = rates[i]
                touched[count] = resources[i]
                count += 1
            for i in range(starts[q], starts[q + 1]):
                e = resources[i]
                if direction[e] == 0.0:
                    touched[count] = e
                    count += 1
                direction[e] -= rates[i]
            s = step_length(a, p, log, loads, direction, touched, count, flows[q], 0.1)
            if s > 0.0:
                moved = moved or flows[q] - s != flows[q] or flows[best] + s != flows[best]
                flows[best] += s
                flows[q] -= s
            for i in range(count):
                e = touched[i]
                if s > 0.0 and direction[e] != 0.0:
                    loads[e] = max(loads[e] + s * direction[e], 0.0)
                    costs[e] = cost(a, p, log, e, loads[e])
                direction[e] = 0.0
    return moved


@exact_loop
def descend(starts, resources, rates, first, flows, a, p, log, loads, costs, direction, touched):
    """A step of Frank and Wolfe: all flows go the same share of the way to the cheapest strategies, in place.

    Arguments and result as of `sweep`; loads and costs are left as they were.
    """
    target = np.zeros(len(flows))
    for k in range(len(first) - 1):
        best, mass = first[k], 0.0
        least = path_cost(starts, resources, rates, costs, best)
        for q in range(first[k], first[k + 1]):
            mass += flows[q]
            c = path_cost(starts, resources, rates, costs, q)
            if c < least:
                best, least = q, c
        target[best] = mass
    fill_loads(starts, resources, rates, target, direction)
    direction -= loads
    touched[:] = np.arange(len(loads))
    s = step_length(a, p, log, loads, direction, touched, len(loads), 1.0, 1e-3)
    direction[:] = 0.0
    moved = False
    for q in range(len(flows)):
        new = (1.0 - s) * flows[q] + s * target[q]
        moved = moved or new != flows[q]
        flows[q] = new
    return moved


@exact_loop
def gap(starts, resources, rates, first, flows, a, p, log, loads, costs, powers):
    """Potential, excess and total cost of flows, and the largest cost in size of a strategy in use; fills the costs.

    `powers` is the potential's table `a / (p + 1)`.
    """
    potential = 0.0
    for e in range(len(loads)):
        x = loads[e]
        costs[e] = cost(a, p, log, e, x)
        for t in range(a.shape[1]):
            potential += powers[e, t] * x ** (p[e, t] + 1.0)
        if log[e] != 0.0 and x > 0.0:
            potential += log[e] * x * (math.log(x) - 1.0)
    excess, total, largest = 0.0, 0.0, 0.0
    for k in range(len(first) - 1):
        least = np.inf
        for q in range(first[k], first[k + 1]):
            least = min(least, path_cost(starts, resources, rates, costs, q))
        for q in range(first[k], first[k + 1]):
            if flows[q] > 0.0:
                c = path_cost(starts, resources, rates, costs, q)
                excess += flows[q] * (c - least)
                total += flows[q] * c
                largest = max(largest, abs(c))
    return potential, excess, total, largest
