"""Prices of well-known models, for a budget in dollars; --input-price and --output-price take their place.

US dollars per million tokens (prompt, completion), as published by the providers at the end of 2025. Prices change:
what is charged is between the user and the provider, so the figures used are always shown.
"""

from __future__ import annotations

from bonanza.budget import Prices

KNOWN = {
    "gpt-4o": Prices(2.50, 10.00),
    "gpt-4o-mini": Prices(0.15, 0.60),
    "gpt-4.1": Prices(2.00, 8.00),
    "gpt-4.1-mini": Prices(0.40, 1.60),
    "gpt-4.1-nano": Prices(0.10, 0.40),
    "gpt-5": Prices(1.25, 10.00),
    "gpt-5-mini": Prices(0.25, 2.00),
    "gpt-5-nano": Prices(0.05, 0.40),
    "o4-mini": Prices(1.10, 4.40),
}
