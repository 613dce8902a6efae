"""A notebook as a script: open it in VS Code, PyCharm or Jupytext, or run it: python examples/notebook.py [FOLDER]."""

# %% [markdown]
# # From pages to pairs, and was it better than chance?
# A corpus of 240 pages on four topics; the task is questions about lakes, of which we have eight examples.

# %% The corpus: documents in memory, each with the pairs that reading it would give
import sys
import tempfile
from pathlib import Path
from random import Random

import bonanza
from bonanza.records import Document, Question

folder = Path(sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else tempfile.mkdtemp())
random = Random(0)
NAMES = ("Alder", "Birch", "Cedar", "Elm", "Hazel", "Ivy", "Juniper", "Rowan", "Willow", "Yew")
SAID = {
    "lake": [
        ("How deep is lake {0}?", "Lake {0} is {1} metres deep at its northern shore."),
        ("Which fish live in lake {0}?", "Perch and {1} kinds of carp live in lake {0}."),
        ("When does lake {0} freeze?", "Lake {0} freezes on day {1} of the year, from its banks inwards."),
    ],
    "loaf": [("How long does the {0} loaf bake?", "The {0} loaf bakes for {1} minutes in a hot oven.")],
    "clock": [("How often is the {0} clock wound?", "The {0} clock is wound every {1} hours by its owner.")],
    "knot": [("What does the {0} knot hold?", "The {0} knot holds {1} kilograms on a dry rope.")],
}


def pair(topic: str, number: int) -> Question:
    """One question on a topic, and its answer."""
    question, answer = random.choice(SAID[topic])
    name = f"{random.choice(NAMES)} {number}"
    return Question(question.format(name), answer.format(name, 7 * number % 97))


def page(number: int) -> Document:
    """A page on one of the topics; every third holds a pair."""
    topic = random.choice(list(SAID))
    found = (pair(topic, number),) if number % 3 == 0 else ()
    asked = "".join(f"\nQ: {each.question}\nA: {each.answer}\n\n" for each in found)
    return Document(f"page-{number}", f"Notes on {topic} {number}.\n{asked}All {topic} notes end here.", "", found)


pages = [page(number) for number in range(240)]
target = [(each.question, each.answer) for each in (pair("lake", 1_000 + number) for number in range(8))]
held_out = [(each.question, each.answer) for each in (pair("lake", 2_000 + number) for number in range(8))]
print(pages[3].text)

# %% Extract: a quarter of the pages may be read; running the cell again resumes
result = bonanza.extract(pages, target, budget="25%", llm="rules", out=folder / "run", cache=folder / "cache")
print({name: result.summary[name] for name in ("documents_read", "pairs_kept", "stop_reason", "statuses")})

# %% Look at the pairs
pairs = result.to_pandas()
print(pairs[["question", "answer", "document_id"]].head().to_string())
print(pairs.status.value_counts().to_string())

# %% Which topics did the policy choose?
topics = pairs.question.str.extract(f"({'|'.join(SAID)})", expand=False)
print(topics.value_counts().to_string())

# %% Was it better than random? The same budgets for each, judged by questions that no policy sees
comparison = bonanza.compare(
    pages, target, held_out, policies="random,nearest,adaptive", budgets="5%,20%", seeds=2, judges="lexical",
    out=folder / "comparison", cache=folder / "cache",
)  # fmt: skip
frame = comparison.to_pandas()
print(frame.groupby(["budget", "policy"])[["pairs", "useful", "transport_cost"]].mean().round(2).to_string())
