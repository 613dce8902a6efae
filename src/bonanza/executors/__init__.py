"""Where extractors run."""
