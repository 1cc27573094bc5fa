"""Algorithmic pricing: markets, the repeated price game on a grid, and its tables for learners and evaluators."""

from strategic_envs.games.pricing.game import PricingGame, pricing
from strategic_envs.games.pricing.logit import Anchors, LogitMarket
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["Anchors", "LogitMarket", "PricingGame", "PricingTables", "pricing"]
