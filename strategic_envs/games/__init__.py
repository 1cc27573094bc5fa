"""The catalogue of games: one file a game or a family, each with its analytic facts."""
