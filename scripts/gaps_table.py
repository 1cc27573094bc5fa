"""The gaps as a table: by name, the question that each answers, and where its value is exact."""

from __future__ import annotations

__all__ = ["COLUMNS", "GAPS", "gaps_rows"]

COLUMNS = ("name", "the question it answers", "exact where")

_GLOBAL = "finite and Markov games, and best responses in closed form; other games with certify=TOL; else a lower bound"

GAPS: dict[str, tuple[str, str]] = {
    "best_response": ("what is the best that one player can do against the others' play?", _GLOBAL),
    "nash_conv": ("how much do all players together gain by best responses? 0 at Nash", _GLOBAL),
    "exploitability": ("NashConv divided by the number of players", _GLOBAL),
    "cce_gap": (
        "how much does one player gain by leaving the joint play for one fixed strategy? 0 at a coarse correlated "
        "equilibrium",
        _GLOBAL,
    ),
    "ce_gap": ("the same after seeing one's own recommendation; 0 at a correlated equilibrium", "finite games"),
    "local_nash_gap": (
        "how much does a small move of one player promise, to first order? 0 at first-order Nash",
        "everywhere the gradient is",
    ),
    "local_cce_gap": (
        "the same against the average of a run: small also for play that cycles for ever",
        "deviations towards a fixed point (interpolation); shifts (projection) on boxes, else proved bounds",
    ),
    "local_ce_gap": (
        "the same for deviations that see one's own recommendation: affine maps, or cells of the set (their number K "
        "is part of the answer)",
        "but for affine maps of balls and shifts off boxes, which have proved bounds",
    ),
    "wardrop_excess": (
        "how much could all members of the populations of a congestion game save together, each alone? 0 at a Wardrop "
        "equilibrium; it bounds how far the potential is above its minimum",
        "congestion games; on networks over all paths",
    ),
    "path_wardrop": (
        "how far are the paths of a network from a Wardrop equilibrium of the congestion game whose potential is the "
        "loss? It tells saddles of linear networks from minima",
        "linear networks; with ReLU at frozen gates (experimental), where paths can be listed",
    ),
    "layer_equilibrium": (
        "what does each layer of a network, the others staying, promise and gain? 0 at all critical points of linear "
        "networks, saddles among them",
        "gaps everywhere; gains of linear networks and of last layers",
    ),
    "spectral_gap": (
        "does every mode of a linear network in use earn the price that weight decay sets, and no other more?",
        "linear networks with one hidden layer",
    ),
    "weight_microstructure": (
        "which family of densities do the sizes of a network's weights follow, beside initialisation and controls?",
        "fits by maximum likelihood; no verdict says that an equilibrium was reached",
    ),
    "arbitrage_gap": (
        "how far is ln|w| of a network's weights from Gaussian, in nats? 0 lognormal, .163 Gaussian weights",
        "nowhere: an estimate from spacings, its bias subtracted",
    ),
    "local_deviation_gain": (
        "how much does a move of at most delta truly gain, not to first order only?",
        "nowhere: the best of a grid, a lower bound",
    ),
}
"""What a user can ask of play, by the name of the function in `strategic_envs.evaluators` or a module of it."""


def gaps_rows() -> list[list[str]]:
    """A row for each gap.

    Example:
        >>> [row[0] for row in gaps_rows()][1:3]
        ['nash_conv', 'exploitability']
    """
    return [[name, *about] for name, about in GAPS.items()]
