"""DGNOpt: a network's layers as the players of a dynamic game, and optimizers that follow from it."""
