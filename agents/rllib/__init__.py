"""The RLlib layer: the only folder that imports ray."""
