"""The command line `strategic-envs`, its presets and its reproductions."""
