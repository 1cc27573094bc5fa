"""The simplex method for matrix games, on a dense tableau that can grow.

For a matrix A whose game has a positive value v, the linear program `max sum(y) : A y <= 1, y >= 0` has the optimum
1/v; `v y` is the minimiser's optimal strategy, and v times the dual solution the maximiser's (Dantzig 1951). Payoffs in
[-1, 1] are moved up by 2. The start y = 0 is feasible, so there is no first phase.

The tableau is condensed: one row a constraint and one column a nonbasic variable. Row 0 holds the reduced costs, column
0 the right-hand side. Column 1 is a second, random right-hand side that decides ties in the ratio test, as if it were
added times an infinitesimal number: no basis then comes twice (the lexicographic rule; Dantzig, Orden and Wolfe 1955).
The entering column is chosen by devex pricing (Forrest and Goldfarb 1992). A row or a column added to a solved game
leaves the tableau solved but for itself, so a few pivots of the dual or the primal method solve it again.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from strategic_envs.solvers.compiled import compiled
from strategic_envs.solvers.dense import dgesv
from strategic_envs.solvers.scaled import Array, positive_part

__all__ = ["Tableau", "simplex"]

_SHIFT = 2.0
_COST, _PIVOT, _TIE = 1e-11, 1e-10, 1e-12  # what counts as negative, as a pivot, as equal

_SINGULAR = 1e8  # the largest entry of a tableau that is worth starting from
_ACCURATE = 1e-11  # the NashConv above which the basis is factorised anew

Labels = NDArray[np.int64]  # a variable: j >= 0 is column j's weight, -1 - i the slack of row i
Numbers = TypeVar("Numbers", Array, Labels)


@compiled
def _pivot(t: Array, m: int, n: int, r: int, q: int) -> None:
    """Makes the variable of column q basic in row r."""
    p = 1.0 / t[r, q]
    row = t[r]
    for j in range(n):
        row[j] *= p
    for i in range(m):
        f = t[i, q]
        if i != r and f != 0.0:
            other = t[i]
            for j in range(n):
                other[j] -= f * row[j]
            other[q] = -f * p
    row[q] = p


@compiled
def _primal(t: Array, m: int, n: int, basic: Labels, nonbasic: Labels, limit: int) -> int:
    """Pivots from a feasible tableau to an optimal one; the number of pivots, or -1 if it did not get there."""
    weights = np.ones(n)
    for pivots in range(limit):
        q, best = -1, 0.0
        for j in range(2, n):
            d = t[0, j]
            if d < -_COST and d * d > best * weights[j]:
                q, best = j, d * d / weights[j]
        if q < 0:
            return pivots
        r, ratio, second = -1, np.inf, np.inf
        for i in range(1, m):
            a = t[i, q]
            if a > _PIVOT:
                step = max(t[i, 0], 0.0) / a
                if step < ratio - _TIE or (step <= ratio + _TIE and t[i, 1] / a < second):
                    r, ratio, second = i, min(step, ratio), t[i, 1] / a
        if r < 0:
            return -1
        a, reference = t[r, q], weights[q]
        for j in range(2, n):
            share = t[r, j] / a
            weights[j] = max(weights[j], share * share * reference)
        weights[q] = max(reference / (a * a), 1.0)
        _pivot(t, m, n, r, q)
        basic[r], nonbasic[q] = nonbasic[q], basic[r]
    return -1


@compiled
def _dual(t: Array, m: int, n: int, basic: Labels, nonbasic: Labels, limit: int) -> int:
    """The same from a tableau without negative reduced costs to one without negative right-hand sides."""
    weights = np.ones(m)
    for pivots in range(limit):
        r, best = -1, 0.0
        for i in range(1, m):
            b = t[i, 0]
            if b < -_COST and b * b > best * weights[i]:
                r, best = i, b * b / weights[i]
        if r < 0:
            return pivots
        q, ratio, size = -1, np.inf, 0.0
        for j in range(2, n):
            a = -t[r, j]
            if a > _PIVOT:
                step = max(t[0, j], 0.0) / a
                if step < ratio - _TIE or (step <= ratio + _TIE and a > size):
                    q, ratio, size = j, min(step, ratio), a
        if q < 0:
            return -1
        a, reference = t[r, q], weights[r]
        for i in range(1, m):
            share = t[i, q] / a
            weights[i] = max(weights[i], share * share * reference)
        weights[r] = max(reference / (a * a), 1.0)
        _pivot(t, m, n, r, q)
        basic[r], nonbasic[q] = nonbasic[q], basic[r]
    return -1


class Tableau:
    """A matrix game with payoffs around [-1, 1], its tableau, and the basis that solved it last.

    Args:
        b: The payoffs to the maximiser `(m, n)`. Added ones may be larger; the value must stay above -2.

    Example:
        >>> game = Tableau(np.array([[1.0, -1.0], [-1.0, 1.0]]))
        >>> game.solve(), [x.round(9).tolist() for x in game.strategies()]
        (True, [[0.5, 0.5], [0.5, 0.5]])
        >>> game.add_row(np.array([0.5, 0.5]))
        >>> game.solve(), [x.round(9).tolist() for x in game.strategies()]
        (True, [[0.0, 0.0, 1.0], [0.25, 0.75]])
    """

    def __init__(self, b: Array) -> None:
        self.rows, self.columns = b.shape
        self.pivots = 0
        self._ties = np.random.default_rng(0)
        self._payoffs = np.ascontiguousarray(b)
        self._start()

    @property
    def payoffs(self) -> Array:
        """The payoffs of all rows and columns there are, `(m, n)`."""
        return self._payoffs[: self.rows, : self.columns]

    def _start(self) -> None:
        """The tableau of the basis of slacks, in which every row and every column has been entered."""
        m, n = self.rows, self.columns
        self._entered = (m, n)
        self._table = np.empty((self._payoffs.shape[0] + 1, self._payoffs.shape[1] + 2))
        t = self._table[: m + 1, : n + 2]
        np.add(self.payoffs, _SHIFT, out=t[1:, 2:])
        t[1:, 0], t[1:, 1] = 1.0, self._ties.uniform(1.0, 2.0, m)
        t[0, :2], t[0, 2:] = 0.0, -1.0
        self._basic: Labels = np.arange(0, -len(self._table), -1)  # entry 0 is the row of the costs
        self._nonbasic: Labels = np.arange(-2, self._table.shape[1] - 2)

    def add_row(self, payoffs: Array) -> None:
        """A new action of the maximiser, `(n,)` payoffs against the columns there are."""
        self._reserve(self.rows + 1, self.columns)
        self._payoffs[self.rows, : self.columns] = payoffs
        self.rows += 1

    def add_column(self, payoffs: Array) -> None:
        """A new action of the minimiser, `(m,)` payoffs against the rows there are."""
        self._reserve(self.rows, self.columns + 1)
        self._payoffs[: self.rows, self.columns] = payoffs
        self.columns += 1

    def _reserve(self, rows: int, columns: int) -> None:
        old = self._payoffs.shape
        if rows <= old[0] and columns <= old[1]:
            return
        new = tuple(
            have if size <= have else size + have // 2 + 8 for size, have in zip((rows, columns), old, strict=True)
        )
        self._payoffs = _grown(self._payoffs, new)
        self._table = _grown(self._table, (new[0] + 1, new[1] + 2))
        self._basic, self._nonbasic = _grown(self._basic, (new[0] + 1,)), _grown(self._nonbasic, (new[1] + 2,))

    def solve(self) -> bool:
        """Enters what was added and pivots to an optimal basis; whether it got there."""
        m, n = self._entered
        for j in range(n, self.columns):
            self._enter_column(m, j)
        found = self._run(_primal, m, self.columns)
        for i in range(m, self.rows):
            self._enter_row(i, self.columns)
        self._entered = (self.rows, self.columns)
        return found and self._run(_dual, self.rows, self.columns)

    def _run(self, method: object, rows: int, columns: int) -> bool:
        arguments = (self._table, rows + 1, columns + 2, self._basic, self._nonbasic)
        pivots: int = method(*arguments, 100 + 20 * (rows + columns))  # pyright: ignore[reportCallIssue]
        self.pivots += max(pivots, 0)
        return pivots >= 0

    def _enter_column(self, m: int, j: int) -> None:
        """Column j in terms of the basis: what its payoffs add to the slacks, wherever these are."""
        t, a = self._table, self._payoffs[:m, j] + _SHIFT
        slack = self._nonbasic[2 : j + 2]
        through = np.where(slack < 0, a[np.where(slack < 0, -1 - slack, 0)], 0.0)
        new = t[: m + 1, 2 : j + 2] @ through
        own = self._basic[1 : m + 1]
        new[1:] += np.where(own < 0, a[np.where(own < 0, -1 - own, 0)], 0.0)
        new[0] -= 1.0
        t[: m + 1, j + 2], self._nonbasic[j + 2] = new, j

    def _enter_row(self, i: int, n: int) -> None:
        """Row i in terms of the basis: its payoffs, with the basic columns replaced by their rows."""
        t, a = self._table, self._payoffs[i, :n] + _SHIFT
        column = self._basic[1 : i + 1]
        through = np.where(column >= 0, a[np.maximum(column, 0)], 0.0)
        new = -(through @ t[1 : i + 1, : n + 2])
        own = self._nonbasic[2 : n + 2]
        new[2:] += np.where(own >= 0, a[np.maximum(own, 0)], 0.0)
        new[0] += 1.0
        new[1] += self._ties.uniform(1.0, 2.0)
        t[i + 1, : n + 2], self._basic[i + 1] = new, -1 - i

    def refresh(self) -> None:
        """The tableau of the same basis made anew from the payoffs, by one factorisation, free of old rounding."""
        slack, column = self._nonbasic[2 : self.columns + 2], self._basic[1 : self.rows + 1]
        self._factorise(np.sort(-1 - slack[slack < 0]), np.sort(column[column >= 0]))

    def _factorise(self, i: Labels, j: Labels) -> None:
        """The tableau in which columns j are basic in place of the slacks of rows i, as many."""
        self._start()
        t = self._table[: self.rows + 1, : self.columns + 2]
        through, right = t[:, j + 2], t[i + 1]
        right[:, j + 2] = np.eye(len(i))
        *_, solved, singular = dgesv(through[i + 1], right)
        if singular or not np.abs(solved).max(initial=0.0) < _SINGULAR:
            return  # the basis of slacks will do
        through[i + 1], t[:, j + 2] = 0.0, 0.0
        t -= through @ solved
        t[i + 1] = solved
        self._basic[i + 1], self._nonbasic[j + 2] = j, -1 - i

    def strategies(self) -> tuple[Array, Array]:
        """The maximiser's and the minimiser's mixed strategies in the present basis."""
        t, m, n = self._table, self.rows, self.columns
        slack, column = self._nonbasic[2 : n + 2], self._basic[1 : m + 1]
        x, y = np.zeros(m), np.zeros(n)
        x[-1 - slack[slack < 0]] = t[0, 2 : n + 2][slack < 0]
        y[column[column >= 0]] = t[1 : m + 1, 0][column >= 0]
        return positive_part(x), positive_part(y)

    def nash_conv(self) -> float:
        """The NashConv of the present strategies."""
        x, y = self.strategies()
        return float((self.payoffs @ y).max() - (x @ self.payoffs).min())


def simplex(b: Array) -> tuple[Array, Array] | None:
    """An equilibrium of the game with payoffs b in [-1, 1] to the maximiser, or None if the method did not end.

    Example:
        >>> simplex(np.array([[1.0, -1.0], [-1.0, 0.0]]))
        (array([0.33333333, 0.66666667]), array([0.33333333, 0.66666667]))
    """
    game = Tableau(b)
    if not game.solve():
        return None
    if game.nash_conv() > _ACCURATE:
        game.refresh()
        game.solve()
    return game.strategies()


def _grown(old: Numbers, shape: tuple[int, ...]) -> Numbers:
    new = np.zeros(shape, old.dtype)
    new[tuple(slice(0, size) for size in old.shape)] = old
    return new  # pyright: ignore[reportReturnType]
