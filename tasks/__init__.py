"""What is asked of a model class: data, splits, oracle, shortcut, score.

import tasks
task = tasks.load("shift/colored-digits")
"""

from tasks.registry import Entry, RegistryError, UnknownName, entries, load, select

__all__ = ["Entry", "RegistryError", "UnknownName", "entries", "load", "select"]
