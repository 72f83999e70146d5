"""Covariate shift: p(x) changes, p(y|x) does not."""
