"""The loops over paths that numba compiles: columns of paths kept, and flow shifted to the cheapest of each pair.

Columns are the paths in use, kept as a CSR matrix: column r uses `links[starts[r]:starts[r + 1]]`, and the columns of
pair k are `firsts[k]:firsts[k + 1]`. Import this module late: numba takes half a second.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.solvers.compiled import exact_loop

__all__ = ["cheapest", "path_costs", "refresh", "shift"]


@exact_loop
def path_costs(starts, links, cost):
    """What each column costs: added up from the origin on, as a search for shortest paths does."""
    found = np.zeros(len(starts) - 1)
    for r in range(len(found)):
        for i in range(starts[r], starts[r + 1]):
            found[r] += cost[links[i]]
    return found


@exact_loop
def cheapest(firsts, costs):
    """The cheapest column of each pair, the first of equals; -1 where there is none."""
    best = np.full(len(firsts) - 1, -1)
    for k in range(len(best)):
        for r in range(firsts[k], firsts[k + 1]):
            if best[k] < 0 or costs[r] < costs[best[k]]:
                best[k] = r
    return best


@exact_loop
def refresh(firsts, starts, links, flows, wanted, last, row, origin, destination, tails):
    """Columns without flow left out, and at every wanted pair the path of the tree `last` added, with no flow.

    `last[row[k], node]` is the last link of the shortest path from pair k's origin to the node.
    """
    pairs = len(wanted)
    most = len(links)
    for k in range(pairs):
        if wanted[k]:
            node = destination[k]
            while node != origin[k]:
                most += 1
                node = tails[last[row[k], node]]
    new_firsts = np.zeros(pairs + 1, np.int64)
    new_starts = np.zeros(len(flows) + pairs + 1, np.int64)
    new_links = np.empty(most, np.int64)
    new_flows = np.zeros(len(flows) + pairs)
    path = np.empty(len(tails), np.int64)
    count, end = 0, 0
    for k in range(pairs):
        length = 0
        if wanted[k]:
            node = destination[k]
            while node != origin[k]:
                path[length] = last[row[k], node]
                node = tails[path[length]]
                length += 1
        there = not wanted[k]
        for r in range(firsts[k], firsts[k + 1]):
            same = not there and starts[r + 1] - starts[r] == length
            if same:
                for i in range(length):
                    if links[starts[r] + i] != path[length - 1 - i]:
                        same = False
                        break
            if same:
                there = True
            if flows[r] > 0.0 or same:
                for i in range(starts[r], starts[r + 1]):
                    new_links[end] = links[i]
                    end += 1
                new_flows[count] = flows[r]
                count += 1
                new_starts[count] = end
        if not there:
            for i in range(length):
                new_links[end] = path[length - 1 - i]
                end += 1
            count += 1
            new_starts[count] = end
        new_firsts[k + 1] = count
    return new_firsts, new_starts[: count + 1].copy(), new_links[:end].copy(), new_flows[:count].copy()


@exact_loop
def shift(firsts, starts, links, flows, cost, slope, passes, tolerance):
    """Gauss-Seidel passes of gradient projection where every cost is the line `cost + slope * change`.

    Each pass visits the pairs in turn. Flow on a path p above the cheapest path b moves to b until both cost the same
    or p is empty: by `min(f_p, (C_p - C_b) / s)`, s the slopes of the links on one of them alone; costs change at once.
    Passes end when what a pass still finds to save is `tolerance` times what the first found.

    `flows` and `cost` are changed in place. Returns the change of every load, built from the shifts alone: a difference
    of loads would drown small changes in rounding.
    """
    change = np.zeros(len(cost))
    only = np.zeros(len(cost), np.int8)  # 1: on the cheapest path, 2: on the other, 3: on both
    first = 0.0
    for done in range(passes):
        found = 0.0
        for k in range(len(firsts) - 1):
            if firsts[k + 1] - firsts[k] < 2:
                continue
            best, least = -1, np.inf
            for r in range(firsts[k], firsts[k + 1]):
                total = 0.0
                for i in range(starts[r], starts[r + 1]):
                    total += cost[links[i]]
                if total < least:
                    best, least = r, total
            for i in range(starts[best], starts[best + 1]):
                only[links[i]] += 1
            for r in range(firsts[k], firsts[k + 1]):
                if r == best or flows[r] <= 0.0:
                    continue
                above, steep = 0.0, 0.0
                for i in range(starts[r], starts[r + 1]):
                    only[links[i]] += 2
                    if only[links[i]] == 2:
                        above += cost[links[i]]
                        steep += slope[links[i]]
                for i in range(starts[best], starts[best + 1]):
                    if only[links[i]] == 1:
                        above -= cost[links[i]]
                        steep += slope[links[i]]
                if above > 0.0:
                    found += flows[r] * above
                    amount = flows[r] if flows[r] * steep <= above else above / steep
                    flows[best] += amount
                    flows[r] -= amount
                    for i in range(starts[r], starts[r + 1]):
                        if only[links[i]] == 2:
                            change[links[i]] -= amount
                            cost[links[i]] -= amount * slope[links[i]]
                    for i in range(starts[best], starts[best + 1]):
                        if only[links[i]] == 1:
                            change[links[i]] += amount
                            cost[links[i]] += amount * slope[links[i]]
                for i in range(starts[r], starts[r + 1]):
                    only[links[i]] -= 2
            for i in range(starts[best], starts[best + 1]):
                only[links[i]] -= 1
        if done == 0:
            first = found
        if found <= tolerance * first:
            break
    return change
