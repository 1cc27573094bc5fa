"""The commands, one file each, discovered: `Command` is a frozen dataclass whose fields are the command's options."""
