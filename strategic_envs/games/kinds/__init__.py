"""The kinds of game: what a user writes and what the library derives from it."""
