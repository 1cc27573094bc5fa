"""What holds at every point of a path, and what a test should check after every step."""

from __future__ import annotations

from strategic_envs.agents.dynamics.ridge.events import satisfied
from strategic_envs.agents.dynamics.ridge.state import Event, RidgeState

__all__ = ["violations"]


def violations(state: RidgeState, tolerance: float = 1e-8) -> list[str]:
    """What of the invariant of an epoch `(i, S)` does not hold in a state; nothing where all does.

    Coordinates in S are zero-satisfied; earlier ones outside S are boundary-satisfied; later ones sit at 0; the field
    of the examined one is not negative unless it sits at 0; all lie in the cube.

    Args:
        state: A state of a path.
        tolerance: How far a field may be from zero, in path coordinates.

    Example:
        >>> from strategic_envs.agents.dynamics.oracle import GameOracle
        >>> from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
        >>> from strategic_envs.games.nonconcave import f1
        >>> violations(StayOnTheRidge().init(f1().profile([-3.0], [-3.0]), GameOracle(f1())))
        []
    """
    wrong = []
    i, free = int(state.examined), set(state.free_list)
    for k, (z, v) in enumerate(zip(state.z.tolist(), state.v.tolist(), strict=True)):
        how = satisfied(z, v, tolerance)
        if not 0.0 <= z <= 1.0:
            wrong.append(f"coordinate {k} left the cube: {z}")
        elif k in free and (k >= i or abs(v) > tolerance):
            wrong.append(f"coordinate {k} is in S and not zero-satisfied: z = {z}, V = {v}")
        elif k < i and k not in free and how is not Event.GOOD_BOUND:
            wrong.append(f"coordinate {k} is frozen and not boundary-satisfied: z = {z}, V = {v}")
        elif k == i and v < -tolerance and z > 0.0:
            wrong.append(f"coordinate {k} is examined and its field is negative: z = {z}, V = {v}")
        elif k > i and z != 0.0:
            wrong.append(f"coordinate {k} comes later and is not at 0: z = {z}")
    return wrong
