"""The commands, one file each, discovered: `Command` is a frozen dataclass whose fields are the command's options.

A module whose options depend on what is typed has `command_for(words)`, which gives the dataclass for these words.
"""
