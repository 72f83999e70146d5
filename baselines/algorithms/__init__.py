"""The registered training algorithms: a file is an entry."""
