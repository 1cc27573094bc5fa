"""Pictures of trajectories, fields, gaps, prices and boards."""
