"""Models that fit noise exactly: what size, time and random labels do to them."""
