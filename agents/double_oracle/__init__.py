"""Double oracle: solve a small game, let best responses name what it lacks, and solve again."""
