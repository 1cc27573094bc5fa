"""The report of `path_wardrop`: gaps of the path game of a network, and what may be concluded from each."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["PathWardrop"]


@dataclass(frozen=True)
class PathWardrop:
    """How far a network's path flows are from a Wardrop equilibrium.

    What zero means: `path_gap` 0, exact, of a linear network: no linear map has a smaller loss on these samples. Of a
    ReLU network: no free flow on the paths has a smaller loss *with the gates as they are*; other gates may do better.
    What it does not mean: a small gap is no score of quality, because path costs scale with the residual and every
    network that interpolates has a gap near 0 (read `norm_gap` beside it); `used_gap` and `cert` are also 0 at some
    saddles; nothing is said about data that was not given, and no price of anarchy follows for a network.

    Args:
        path_gap: The largest `|C_p|` over all paths, used or not; over the drawn paths where `exact` is False, which is
            a lower bound.
        used_gap: The same over paths whose flow is above `tau` times the largest. Weaker: blind to empty paths.
        norm_gap: The largest `|C_p| / (|a_p| |delta_j|)`, between 0 and 1, free of scale. 0: the residual is
            uncorrelated with every path's feature. 0 also where the residual is rounding alone.
        cert: The loss is above the smallest loss with the same mass of flow a source (and the same gates) by at most
            this. None where not all paths were seen. Whether it says more than `loss >= 0` is `cert_informative`: early
            in the training of a small linear network it does, of a trained network with ReLU it seldom does. It can
            be 0 where `path_gap` is not: the mass of a source is spent, or is zero.
        identity_error: The largest error of `W_e dL/dW_e = sum of w_p C_p over paths through e`, over all edges and
            biases; where the paths were not listed, of the layers' sums alone.
        layer_sums: `sum w_p C_p` counted at each layer, `sum W dL/dW` of its weights and of the biases from it on: the
            flow's total cost, the same at all of them.
        second_moment: `sum |w_p| C_p^2`, exact; None where paths were drawn.
        loss: The loss.
        largest_slope: The largest `|dL/dW|` of all weights and biases, as automatic derivation has it.
        kink_distance: The smallest `|preactivation|` of a ReLU; None without ReLU.
        ambiguous_gates: How many preactivations, over units and samples, are within 1e-6 of zero. Of a million of order
            one, about one is by chance.
        clarke_norm: At a kink of a network with one hidden layer, the length of the shortest gradient with ambiguous
            gates anywhere between closed and open; None otherwise. See `strategic_envs.evaluators.wardrop.kinks`.
        paths: How many paths there are.
        method: `closed form`, `enumerate`, `kernel` or `sample`.
        exact: Whether all paths were taken into account.
        global_claim: What a zero of `path_gap` is equivalent to: `linear, full width` (the global minimum of the loss,
            so that every saddle has a positive gap), `frozen gates` (the minimum over free path flows with these
            gates), or None: no such reading is allowed here, and `note` says why.
        experimental: True for networks with ReLU.
        note: Remarks, in words.
    """

    path_gap: float
    used_gap: float | None
    norm_gap: float | None
    cert: float | None
    identity_error: float
    layer_sums: tuple[float, ...]
    second_moment: float | None
    loss: float
    largest_slope: float
    kink_distance: float | None
    ambiguous_gates: int
    clarke_norm: float | None
    paths: int
    method: str
    exact: bool
    global_claim: str | None
    experimental: bool
    note: str = ""

    @property
    def cert_informative(self) -> bool:
        """Whether `cert` is below the loss; if not, it says less than that a loss is not negative."""
        return self.cert is not None and self.cert < self.loss

    @property
    def at_kink(self) -> bool:
        """Whether a ReLU's preactivation is within 1e-6 of zero: the loss need not be smooth here."""
        return self.ambiguous_gates > 0

    def row(self) -> dict[str, float]:
        """The report as flat numbers (flags are 0 or 1); what is None, and words, are left out."""
        flags = {"cert_informative": self.cert_informative, "at_kink": self.at_kink}
        flags["global_reading"] = self.global_claim is not None
        values = {f.name: getattr(self, f.name) for f in fields(self)} | flags
        values["paths"] = float(min(self.paths, _MANY))
        return {k: float(v) for k, v in values.items() if isinstance(v, bool | int | float)}

    def __str__(self) -> str:
        bound = "" if self.exact else "  (at least: not all paths were seen)"
        lines = [
            f"loss             {self.loss:.6g}",
            f"path_gap         {self.path_gap:.6g}{bound}",
            *(f"{name:16} {value:.6g}{bound}" for name, value in self._optional() if value is not None),
        ]
        if self.cert_informative:
            lines.append(f"cert             {self.cert:.6g}")
        elif self.cert is not None:
            lines.append("cert             not below the loss, so it says nothing")
        lines += [
            f"largest_slope    {self.largest_slope:.6g}",
            f"identity_error   {self.identity_error:.2g}",
            f"paths            {self.paths} ({self.method})",
            f"zero would mean  {_READINGS[self.global_claim]}",
        ]
        if self.experimental:
            lines.append("experimental     a network with ReLU")
        return "\n".join([*lines, *([f"note             {self.note}"] if self.note else [])])

    def _optional(self) -> tuple[tuple[str, float | None], ...]:
        return ("used_gap", self.used_gap), ("norm_gap", self.norm_gap)


_MANY = 10**300  # a float holds no more
_READINGS = {
    "linear, full width": "the global minimum of the loss on these samples",
    "frozen gates": "the minimum over free path flows with these gates, and no more",
    None: "nothing global is claimed",
}
