"""RECOST on an Alpaca file: which of its samples a language model finds plausible once it has been shown good ones.

    python examples/recost_on_a_file.py [FOLDER [LANGUAGE_MODEL]]

The language model is the embedded one ("local") unless another is named ("hf:Qwen/Qwen2.5-0.5B").
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import bonanza

FACTS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "How many legs does a spider have?": "A spider has eight legs.",
    "At what temperature does water boil at sea level?": "Water boils at 100 degrees Celsius at sea level.",
    "Which planet is nearest to the sun?": "Mercury is the planet nearest to the sun.",
    "What do bees make from nectar?": "Bees make honey from nectar.",
    "Who wrote Hamlet?": "William Shakespeare wrote Hamlet.",
    "What is frozen water called?": "Frozen water is called ice.",
    "How many days does a week have?": "A week has seven days.",
}
SPOILT = {
    "What is the capital of Spain?": "the the capital capital of of of",
    "How many strings does a violin have?": "Strings violin a four of has yes purple.",
    "What colour is grass?": "qx zvl rrk 7#",
    "Which animal barks?": "It is Tuesday in the of an.",
}
GOOD = {
    "What is the capital of Italy?": "The capital of Italy is Rome.",
    "How many legs does an ant have?": "An ant has six legs.",
    "Who wrote Faust?": "Johann Wolfgang von Goethe wrote Faust.",
    "What is melted ice called?": "Melted ice is called water.",
    "How many months does a year have?": "A year has twelve months.",
}


def write_alpaca(path: Path, answers: dict[str, str]) -> Path:
    """The rows as they are shared: one list of JSON."""
    rows = [{"instruction": question, "input": "", "output": answer} for question, answer in answers.items()]
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def main(folder: Path, language_model: str) -> None:
    """Keep half of the samples, and show every sample's rank."""
    folder.mkdir(parents=True, exist_ok=True)
    data = write_alpaca(folder / "alpaca.json", FACTS | SPOILT)
    knowledge = write_alpaca(folder / "good.json", GOOD)
    result = bonanza.select(
        data, keep="50%", knowledge=knowledge, lm=language_model, out=folder / "kept.json",
        scores=folder / "scores.parquet", cache=folder / "cache",
    )  # fmt: skip
    places = {row["row"]: row["place"] for row in result.table()}
    for sample in sorted(result.data.samples, key=lambda sample: places[sample.row] or len(places)):
        spoilt = "spoilt" if sample.prompt in SPOILT else ""
        print(f"{places[sample.row] or '-':>4}  {spoilt:6}  {sample.prompt} {sample.response}")
    spoilt_kept = sum(sample.prompt in SPOILT for sample in result.samples)
    print(f"{spoilt_kept} of {len(SPOILT)} spoilt samples are among the {len(result.samples)} kept.")
    print(f"written: {folder / 'kept.json'}, {folder / 'scores.parquet'}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else tempfile.mkdtemp(prefix="bonanza-")), given[1] if len(given) > 1 else "local")
