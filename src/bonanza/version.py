"""The version: part of what a run's folder belongs to."""

__version__ = "0.1.0"
