"""What a reading without an LLM is charged: the tokens that an LLM would have taken for the same pairs [ours].

So a budget means the same for every extractor, and policies can be compared without paying for one.
"""

from __future__ import annotations

from bonanza.records import Document, estimated_tokens

PROMPT_TOKENS = 350  # what an LLM's instructions take besides the page (METHODS section 4)


def prompt_tokens(document: Document) -> int:
    """Tokens of the instructions and the document."""
    return PROMPT_TOKENS + estimated_tokens(document.text)


def written_tokens(question: str, answer: str) -> int:
    """Tokens of writing one pair."""
    return estimated_tokens(question) + estimated_tokens(answer)
