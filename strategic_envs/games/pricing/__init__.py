"""Algorithmic pricing: markets, the repeated price game on a grid, and its tables for learners and evaluators."""

from strategic_envs.games.pricing.game import PricingGame
from strategic_envs.games.pricing.homogeneous import HomogeneousMarket
from strategic_envs.games.pricing.linear import LinearMarket
from strategic_envs.games.pricing.logit import LogitMarket
from strategic_envs.games.pricing.market import Anchors, Market
from strategic_envs.games.pricing.options import market_of, pricing
from strategic_envs.games.pricing.tables import PricingTables, random_visits

__all__ = [
    "Anchors",
    "HomogeneousMarket",
    "LinearMarket",
    "LogitMarket",
    "Market",
    "PricingGame",
    "PricingTables",
    "market_of",
    "pricing",
    "random_visits",
]
