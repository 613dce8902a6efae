"""How well a causal language model foresees responses: token losses, by transformers or by a server."""
