"""Staying on the ridge: following one curve from a corner of a box to a first-order equilibrium.

The method of Daskalakis, Golowich, Skoulakis and Zampetakis (COLT 2023), for games of any number of players whose sets
are boxes. In path coordinates the game lives on the unit cube `[0, 1]^N`, starts at the corner 0, and its coordinates
are settled one after another. `V` is the ascent field there. A coordinate k is *satisfied* when `V_k = 0`
(zero-satisfied), or it sits at 0 with `V_k <= 0` or at 1 with `V_k >= 0` (boundary-satisfied); a point where all are
satisfied is a first-order equilibrium. An epoch `(i, S)` examines coordinate i while the coordinates of S are free:

    direction d: zero outside S and i, keeps V_k = 0 for k in S, its sign from a determinant
    move along d until the first of
      GOOD      i becomes satisfied: go on to i + 1; i joins S when V_i = 0, and stays frozen when it sits at a bound
      BAD       a moving coordinate k leaves the cube: k = i: go back to examining i - 1; k in S: freeze k, out of S
      MIDDLING  a frozen coordinate k < i is about to lose its sign: k joins S

One file a part: `frame` (the map to the cube), `state`, `geometry` (the direction), `corrector`, `events`, `moves` (one
predictor-corrector step, exact to the event), `invariant`, `path` (`follow_ridge`: a whole path with its epochs).
The dynamic itself is `strategic_envs.agents.dynamics.stonr`.
"""
