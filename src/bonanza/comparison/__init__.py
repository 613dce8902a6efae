"""Policies side by side at equal spend, replayed from readings that are known: `bonanza compare`."""
