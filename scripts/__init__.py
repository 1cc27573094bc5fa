"""The command line, its presets and its reproductions."""
