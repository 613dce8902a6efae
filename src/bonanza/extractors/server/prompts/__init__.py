"""What a model is told, as files that people can read, replace, and name in their settings (`--prompts FOLDER`).

extract.txt   the task; {pairs} is the most pairs wanted
document.txt  the document between two lines of {fence}
examples.txt  joined to the task with --style: {examples} are pairs of the reference set, for their form alone
again.txt     sent after an answer that cannot be used; {problem} says why
mend.txt      the task of the second pass (--mend); pairs.txt is the message that goes with it
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bonanza.errors import SettingsError
from bonanza.extractors.server.answers import FoundPair
from bonanza.records import Question, content_id

Messages = list[dict[str, str]]

NAMES = ("extract", "document", "examples", "again", "mend", "pairs")
# What each must hold, or something would never reach the model
NEEDED = {
    "document": ("{document}", "{fence}"), "examples": ("{examples}",), "again": ("{problem}",),
    "pairs": ("{document}", "{fence}", "{pairs_json}"),
}  # fmt: skip
LONGEST_EXAMPLE = 1_500  # characters of a reference pair shown for form [ours]
LONGEST_QUOTED = 4_000  # characters of an unusable answer that are shown to the model again [ours]
# Markers of a conversation in chat templates: a server that took them from a document would change roles.
_MARKERS = re.compile(
    r"<(?=\||/?(?:s|bos|eos|think|thinking|start_of_turn|end_of_turn)>)|\[(?=/?INST\]|/?SYSTEM_PROMPT\])"
)


@dataclass(frozen=True)
class Prompts:
    """The texts, by the names of their files, and the examples of the target's form."""

    texts: Mapping[str, str]
    examples: tuple[Question, ...] = ()

    @property
    def id(self) -> str:
        """Hash of all that may change an answer."""
        examples = [part for pair in self.examples for part in (pair.question, pair.answer)]
        return content_id(*(self.texts[name] for name in NAMES), *examples)

    def extraction(self, text: str, pairs: int) -> Messages:
        """Messages that ask for the pairs of a text."""
        fence, shown = _fence(text), defused(text)
        task = _filled(self.texts["extract"], pairs=str(pairs)) + self._style()
        return _messages(task, _filled(self.texts["document"], fence=fence, document=shown))

    def once_more(self, messages: Messages, answer: str, problem: str) -> Messages:
        """The same conversation, with an answer that cannot be used and why."""
        given = {"role": "assistant", "content": defused(answer[:LONGEST_QUOTED])}
        return [*messages, given, {"role": "user", "content": _filled(self.texts["again"], problem=problem)}]

    def mending(self, text: str, pairs: Sequence[FoundPair]) -> Messages:
        """Messages that ask to mend pairs."""
        rows = [{"question": pair.question, "answer": pair.answer, "evidence": pair.evidence} for pair in pairs]
        listed = defused(json.dumps({"pairs": rows}, ensure_ascii=False))
        message = _filled(self.texts["pairs"], fence=_fence(text), document=defused(text), pairs_json=listed)
        return _messages(self.texts["mend"] + self._style(), message)

    def _style(self) -> str:
        if not self.examples:
            return ""
        shown = (
            f"\nQuestion: {defused(pair.question[:LONGEST_EXAMPLE])}\nAnswer: {defused(pair.answer[:LONGEST_EXAMPLE])}"
            for pair in self.examples
        )
        return _filled(self.texts["examples"], examples="\n".join(shown))


def load_prompts(folder: str | None, examples: Sequence[Question] = ()) -> Prompts:
    """Our prompts, each replaced by the file of the same name in the folder, if there is one.

    Raises
    ------
    SettingsError
        If the folder holds none of them, or one lacks a place that must be filled in.
    """
    texts = {name: (files(__name__) / f"{name}.txt").read_text(encoding="utf-8") for name in NAMES}
    if folder is not None:
        texts |= _replaced(Path(folder))
    return Prompts(texts, tuple(examples))


def _replaced(folder: Path) -> dict[str, str]:
    found = {name: folder / f"{name}.txt" for name in NAMES if (folder / f"{name}.txt").is_file()}
    if not found:
        raise SettingsError(
            f"{folder}: holds none of {', '.join(f'{name}.txt' for name in NAMES)}. `bonanza prompts --out FOLDER` "
            "writes them, to be changed."
        )
    return {name: _read(path, NEEDED.get(name, ())) for name, path in found.items()}


def _read(path: Path, needed: Sequence[str]) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}). Prompts are UTF-8 text.") from None
    if missing := [place for place in needed if place not in text]:
        raise SettingsError(
            f"{path}: lacks {', '.join(missing)}, which is where bonanza fills in what the model needs."
        )
    return text


def _messages(task: str, message: str) -> Messages:
    return [{"role": "system", "content": task}, {"role": "user", "content": message}]


def _filled(template: str, **places: str) -> str:
    """The template with its places filled in; braces in what is filled in, and others in the template, stay."""
    return re.sub(r"\{(\w+)\}", lambda match: places.get(match[1], match[0]), template).strip("\n")


def _fence(text: str) -> str:
    """A line that the text cannot contain by design: it is made from the text's hash."""
    return f"=== {content_id(text)} ==="


def defused(text: str) -> str:
    """A text that cannot play a role in the conversation: markers of chat templates get a space.

    >>> defused("<|im_end|> [INST] <s>")
    '< |im_end|> [ INST] < s>'
    """
    return _MARKERS.sub(lambda match: match[0] + " ", text.encode("utf-8", "replace").decode())
