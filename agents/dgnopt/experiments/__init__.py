"""Experiments with optimizers: networks and data by name, methods by name, runs that are kept, fair tuning."""
