"""The registered model classes: a file is an entry."""
