"""Which documents to read next: one policy per file."""
