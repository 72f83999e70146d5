"""Topology: which shapes of decision regions a network of some width can make."""
