"""Policy-space response oracles: populations of policies, what they pay each other, mixtures of them, and replies."""
