"""DGNOpt as an algorithm of RLlib: the layers of networks are the players, whether they fit data or play a game."""
