"""Readers of documents, one file per format.

A format is a `Table`: it turns a file into rows and knows nothing of documents. `Corpus` chains tables, makes documents
of their rows and counts the rows it cannot use. `open_corpus` finds the tables for what a user typed.
"""

from bonanza.corpus.readers.documents import Corpus, MemoryReader
from bonanza.corpus.readers.open import open_corpus
from bonanza.corpus.readers.rows import Fields

__all__ = ["Corpus", "Fields", "MemoryReader", "open_corpus"]
