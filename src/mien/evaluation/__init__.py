"""Evaluation of expression models: labeled data, figures, robustness, explanation.

Training uses the same readers and the same figures, so that a number means the same everywhere.
"""
