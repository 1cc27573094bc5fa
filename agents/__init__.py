"""What this project contributes: learning dynamics, and agents that train with them."""
