"""How error falls with data, parameters and steps, and what structure that was put in by hand buys and costs."""
