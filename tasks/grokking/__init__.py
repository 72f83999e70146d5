"""Generalization long after the training data are fitted."""
