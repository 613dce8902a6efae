"""What pages tell the reader to type: shell commands in fenced and indented blocks, and what stands in inline code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
PAGES = [README, *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "commands.md")]

FENCE = re.compile(r"^( *)```(\w*).*\n((?:.*\n)*?)\1```$", re.MULTILINE)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)")
INLINE = re.compile(r"`([^`\n]+)`")
SHELL = ("bash", "sh")


def shell_blocks(page: Path) -> list[str]:
    """The blocks that a reader pastes into a shell, in their order; Python ones as what has Python run them."""
    text, blocks = page.read_text(encoding="utf-8"), {}
    for found in FENCE.finditer(text):
        if found[2] in SHELL:
            blocks[found.start()] = found[3]
        elif found[2] == "python":
            blocks[found.start()] = f"python - <<'END'\n{found[3]}END\n"
    rest = FENCE.sub(lambda found: re.sub(r"[^\n]", "-", found[0]), text)  # the same places, and nothing indented
    for found in INDENTED.finditer(rest):
        blocks[found.start()] = "".join(line.strip() + "\n" for line in found[1].splitlines())
    return [blocks[start] for start in sorted(blocks)]


def commands_of(block: str) -> list[str]:
    """The commands of a block: its lines, or all of it where it holds a text for one of them."""
    if "<<" in block:
        return [block]
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def inline_code(page: Path) -> list[str]:
    """What stands between backticks in the text."""
    return INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
