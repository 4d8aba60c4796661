"""Adapting an expression model to the labels of a user, from a few pictures of each."""

from mien.adaptation.run import Adaptation, adapt

__all__ = ["Adaptation", "adapt"]
