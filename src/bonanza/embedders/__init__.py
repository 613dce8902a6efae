"""Turning texts into vectors, and aligning documents with their pairs."""
