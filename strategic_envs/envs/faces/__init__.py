"""PettingZoo faces shared by the environments of one kind of game."""
