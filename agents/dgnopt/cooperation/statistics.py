"""Second moments between two layers: what they read together, and the gradients of what they write together.

`A_uv` is the mean over samples of `a_u a_v'`, summed over output locations; `B_uv` that of `h_u h_v'`, averaged over
them (the convention of KFC for a layer's own factors). Both are running means with the weights that KFAC gives to its
own factors at the same steps. A pair that was met late starts from zero, not from its first sample: then the moments of
the pair and of its two layers are weighted sums of the same positive semidefinite samples and of what the layers had
before, so they fit together at any time; the pair just counts as less correlated until it has been seen for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.baselines.optimizers.layers import is_kronecker, locations, patches
from strategic_envs.games.networks import Unit

__all__ = ["Moments", "Pair", "fits"]

Pair = tuple[str, str]  # the names of two layers
_PIECE = 16  # samples whose patches are laid out at once
_Notes = tuple[Tensor, Tensor, int]  # sums of A and of B, and of how many samples
_Seen = tuple[Unit, Tensor, Tensor]  # a layer, what it read, and its cotangent


def fits(u: Unit, v: Unit, h_u: Float[Tensor, "samples ..."], h_v: Float[Tensor, "samples ..."]) -> bool:
    """Whether moments between two layers can be taken: both of one kind, with one grid of output locations.

    Locations are paired one to one, so a linear layer beside a convolution, or two convolutions that write images of
    different sizes, are taken as uncorrelated.

    Example:
        >>> from torch import nn
        >>> u, v = Unit("u", nn.Linear(2, 3), "linear", 0), Unit("v", nn.Linear(4, 5), "linear", 1)
        >>> fits(u, v, torch.ones(7, 3), torch.ones(7, 5))
        True
    """
    if not (is_kronecker(u) and is_kronecker(v) and u.kind == v.kind):
        return False
    return _grid(u, h_u) == _grid(v, h_v)


def _rows(unit: Unit, a: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer was given as two matrices, a row a sample and location."""
    dtype = next(unit.module.parameters()).dtype
    return patches(unit, a).flatten(0, 1).to(dtype), locations(unit, h).flatten(0, 1).to(dtype)


def _grid(unit: Unit, h: Tensor) -> tuple[int, ...]:
    return tuple(h.shape[2:] if unit.kind == "conv" else h.shape[1:-1])


class Moments:
    """Running means of `(A_uv, B_uv)` for the pairs of layers met so far, by the layers' names; `u` may be `v`.

    A pair does not depend on the alignment: once two layers met in one stage their moments are taken at every sampled
    step, also where they are observed in different stages later.

    Args:
        decay: The weight of the past, once there is enough of it.
    """

    def __init__(self, decay: float = 0.95) -> None:
        self.decay = decay
        self.means: dict[Pair, tuple[Tensor, Tensor]] = {}
        self._known: list[Pair] = []
        self._notes: dict[Pair, _Notes] = {}
        # of the step under way: what layers in known pairs read and got, one entry a batch, None once all have taken it
        self._held: dict[str, list[_Seen | None]] = {}
        self._taken: dict[Pair, int] = {}  # how many batches
        self._folded: set[str] = set()  # layers whose notes of this step are in the means

    @torch.no_grad()
    def observe(
        self, units: Iterable[Unit], inputs: Mapping[str, Tensor], h: Mapping[str, Tensor], pairs: Iterable[Pair]
    ) -> None:
        """Takes notes of some layers, for one batch of a step or one after the other for several.

        Args:
            units: The layers.
            inputs: What they read, by name, samples first.
            h: The derivatives of each sample's loss by what they wrote, by name.
            pairs: The pairs of these layers that matter.
        """
        units = list(units)
        if any(unit.name in self._folded for unit in units):  # a new step
            self._held, self._taken, self._folded = {}, {}, set()
        self._known += [pair for pair in pairs if pair not in self._known]
        wanted = {name for pair in self._known for name in pair}
        for unit in (u for u in units if u.name in wanted):
            self._held.setdefault(unit.name, []).append((unit, inputs[unit.name].detach(), h[unit.name].detach()))
        self._take()

    def _take(self) -> None:
        """Adds up all pairs whose two layers have both seen a batch, and lets go of what no pair waits for."""
        waiting: dict[int, list[Pair]] = {}  # by batch
        for pair in self._known:
            first, ready = self._taken.get(pair, 0), min(len(self._held.get(name, ())) for name in pair)
            for k in range(first, ready):
                waiting.setdefault(k, []).append(pair)
            self._taken[pair] = max(first, ready)
        for k, pairs in waiting.items():
            self._add(pairs, k)
        for name, seen in self._held.items():
            done = min(self._taken[pair] for pair in self._known if name in pair)
            seen[:done] = [None] * done

    def _add(self, pairs: list[Pair], k: int) -> None:
        """Some pairs in batch k, a few samples at a time: all patches of a batch would be the peak of the memory."""
        pairs = [pair for pair in pairs if self._fits(pair, k)]
        seen = {name: self._seen(name, k) for pair in pairs for name in pair}
        samples = max((len(h) for _, _, h in seen.values()), default=0)
        for first in range(0, samples, _PIECE):
            part, count = slice(first, first + _PIECE), min(_PIECE, samples - first)
            rows = {name: _rows(unit, a[part], h[part]) for name, (unit, a, h) in seen.items()}
            for pair in pairs:
                (a_u, b_u), (a_v, b_v) = (rows[name] for name in pair)
                note = (a_u.mT @ a_v, b_u.mT @ b_v * (count / len(b_u)), count)
                old = self._notes.get(pair)
                self._notes[pair] = note if old is None else (old[0] + note[0], old[1] + note[1], old[2] + note[2])

    def _fits(self, pair: Pair, k: int) -> bool:
        (u, _, h_u), (v, _, h_v) = (self._seen(name, k) for name in pair)
        return fits(u, v, h_u, h_v)

    def _seen(self, name: str, k: int) -> _Seen:
        seen = self._held[name][k]
        assert seen is not None
        return seen

    def fold(self, step: int) -> bool:
        """Takes the finite ones of the notes into the running means; says whether there were any notes."""
        past = min(self.decay, 1 - 1 / (step + 1))
        for pair, (a, b, samples) in self._notes.items():
            old = self.means.get(pair) or (torch.zeros_like(a), torch.zeros_like(b))
            new = tuple(past * o + (1 - past) * n / samples for o, n in zip(old, (a, b), strict=True))
            good = new[0].isfinite().all() & new[1].isfinite().all()
            self.means[pair] = torch.where(good, new[0], old[0]), torch.where(good, new[1], old[1])
        found = bool(self._notes)
        self._notes = {}
        self._folded |= set(self._held)
        return found

    def discard(self) -> None:
        """Forgets the notes of a step that is given up."""
        self._notes, self._held, self._taken, self._folded = {}, {}, {}, set()

    def state_dict(self) -> dict[str, Any]:
        """The running means, by pair; taken between steps."""
        return {
            "known": list(self._known),
            "means": {pair: (a.clone(), b.clone()) for pair, (a, b) in self.means.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.discard()
        self._known = [(u, v) for u, v in state["known"]]
        self.means = {pair: (a.clone(), b.clone()) for pair, (a, b) in state["means"].items()}
