"""Everything bonanza raises on purpose, in one tree.

BonanzaError
├── UsageError            the call cannot be carried out as written (exit status 2)
│   ├── SettingsError     a setting has a wrong value, or contradicts another
│   ├── CorpusError       a corpus cannot be read, or holds nothing
│   ├── TargetError       a reference set cannot be read, or holds nothing
│   ├── FolderError       the output folder belongs to another run, is in use, or cannot be written
│   ├── MissingExtraError a part that is not installed; the message names the install line
│   └── PartError         a policy or extractor of the caller's own does not do what its Protocol asks
├── ExtractionError       a document could not be read, for a reason that will not go away by itself
└── EndpointError         an LLM server does not answer any more (exit status 3: the same command resumes)
    └── EndpointRefusedError  it refuses every request: key, model or address (exit status 2 if nothing was read)

Each message says what happened, in which input, and what to do next.
"""


class BonanzaError(Exception):
    """Base class: catching it catches everything bonanza raises on purpose."""


class UsageError(BonanzaError):
    """The call cannot be carried out as written."""


class SettingsError(UsageError):
    """A setting has a wrong value, or contradicts another."""


class CorpusError(UsageError):
    """A corpus cannot be read, or holds no document."""


class TargetError(UsageError):
    """A reference set cannot be read, or holds no pair."""


class FolderError(UsageError):
    """The output folder belongs to another run, is in use, or cannot be written."""


class MissingExtraError(UsageError):
    """An optional part is not installed."""

    def __init__(self, wanted: str, extra: str) -> None:
        self.why = f"{wanted} needs packages that are not installed."
        self.command = f"pip install 'bonanza[{extra}]'"
        super().__init__(f"{self.why} Run: {self.command}")
        self._given = wanted, extra

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return MissingExtraError, self._given  # it may be raised in another process


class PartError(UsageError):
    """A policy or extractor of the caller's own does not do what its Protocol asks."""


class EndpointError(BonanzaError):
    """An LLM server does not answer any more."""


class EndpointRefusedError(EndpointError):
    """An LLM server refuses every request: key, model or address are wrong, or the credit is used up."""


class ExtractionError(BonanzaError):
    """Documents cannot be read, for a reason that will not go away by itself."""
