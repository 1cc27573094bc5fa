"""Strategy sets: where a player's strategy lives.

A set knows its Euclidean projection, its support function `h(g) = max_{y in set} <g, y>` with a maximiser, its
diameter, how to draw a point and whether a point lies in it. All methods take tensors `(*batch, dim)` and act on the
last axis. Support functions are what makes the interpolation family of local gaps exact.
"""

from strategic_envs.sets.ball import Ball
from strategic_envs.sets.base import StrategySet, SupportPoint
from strategic_envs.sets.box import Box
from strategic_envs.sets.joint import Joint
from strategic_envs.sets.polytope import Polytope
from strategic_envs.sets.product import Product
from strategic_envs.sets.simplex import Simplex
from strategic_envs.sets.torus import Torus

__all__ = ["Ball", "Box", "Joint", "Polytope", "Product", "Simplex", "StrategySet", "SupportPoint", "Torus"]
