"""Networks, and the games of travellers on them."""

from strategic_envs.games.routing.game import RoutedFlow, RoutingGame
from strategic_envs.games.routing.network import Network, Node

__all__ = ["Network", "Node", "RoutedFlow", "RoutingGame"]
