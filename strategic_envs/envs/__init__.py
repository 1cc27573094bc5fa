"""PettingZoo environments: thin views of games, one module an environment."""
