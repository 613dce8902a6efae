"""`bonanza extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.printed import JSON_HELP, kept_free, print_json

ENDED_EARLY = {
    "budget too small": "none of the documents chosen fits the budget; skipped.jsonl says what each may take. "
    "Give a larger --budget and a new --out.",
    "no more pairs": "the last documents gave no pair that was kept, as many as the setting patience allows. What was "
    "found is written.",
    "interrupted": "stopped as asked. The same command resumes.",
    "endpoint gone": "",
}
BATCH_ROUND, FIRST_BATCH = 10_000, 1_000  # [ours] documents that --batch chooses at a time: a round may take a day
STYLE_EXAMPLES = 3  # [ours] reference pairs that --style shows
LLM_HELP = (
    "openai:MODEL (any OpenAI-compatible server; key in OPENAI_API_KEY) | local | rules | recorded[:COLUMN] | "
    "recorded:journal=DIR, the answers of an earlier run"
)
EXECUTOR_HELP = (
    "Where the work is done: local | ray, started on this machine | ray:auto, the cluster of this machine | "
    "ray:HOST:PORT | ray:ray://HOST:PORT  [default: local]"
)
CORPUS_HELP = "Files, folders, globs; hf://datasets/..., s3://, gs://, http(s)://"
LANGUAGE_HELP = "Leave out documents in other languages: en,de; those of no clear language stay."
OUT_HELP = "Folder for the results. The same command again resumes."


def extract(
    corpus: Annotated[list[str] | None, typer.Argument(help=CORPUS_HELP)] = None,
    target: Annotated[
        str | None, typer.Option(help="Reference question-answer pairs (jsonl, json, parquet, csv).")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help='Hard cap: "200k" tokens, "5%" of documents, "$12.50", "300docs".')
    ] = None,
    llm: Annotated[str | None, typer.Option(help=LLM_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help=OUT_HELP)] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="adaptive | equal | nearest | round_robin | dsir | tsds | random  [default: adaptive]"),
    ] = None,
    embedder: Annotated[str | None, typer.Option(help="static | minilm | a sentence-transformers model")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first so many documents.")] = None,
    text_field: Annotated[str | None, typer.Option(help="[default: text]")] = None,
    id_field: Annotated[str | None, typer.Option(help="[default: id]; without one, the hash of the text.")] = None,
    min_chars: Annotated[int | None, typer.Option(help="Leave out shorter documents.")] = None,
    max_chars: Annotated[int | None, typer.Option(help="Leave out longer documents.")] = None,
    language: Annotated[str | None, typer.Option(help=LANGUAGE_HELP)] = None,
    input_price: Annotated[float | None, typer.Option(help="US dollars per million prompt tokens.")] = None,
    output_price: Annotated[float | None, typer.Option(help="US dollars per million completion tokens.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of the server, e.g. http://127.0.0.1:8000/v1 [default: OPENAI_BASE_URL]")
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask by OpenAI's Batch API: half the price, up to a day per round.")
    ] = False,
    concurrency: Annotated[int | None, typer.Option(help="Most calls at a time. [default: 128]")] = None,
    rpm: Annotated[int | None, typer.Option(help="Most requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Most tokens per minute.")] = None,
    style: Annotated[
        bool, typer.Option("--style", help="Show the model three reference pairs, for their form.")
    ] = False,
    decontaminate: Annotated[
        list[str] | None, typer.Option(help="File of test items, or hf:// dataset; pairs that hold one are not kept.")
    ] = None,
    mend: Annotated[bool, typer.Option("--mend", help="Have the pairs mended by a second call.")] = False,
    refine: Annotated[
        str | None, typer.Option(help="Keep only the best pairs, by a method of `bonanza select`, e.g. recost.")
    ] = None,
    refine_keep: Annotated[str | None, typer.Option(help='How many then: "50%" or "500". [default: 50%]')] = None,
    refine_lm: Annotated[str | None, typer.Option(help="Language model that scores. [default: local]")] = None,
    prompts: Annotated[
        str | None, typer.Option(help="Folder of prompts in place of ours; see `bonanza prompts`.")
    ] = None,
    reuse: Annotated[
        list[Path] | None, typer.Option(help="Folder of another run whose answers count as paid here.")
    ] = None,
    executor: Annotated[str | None, typer.Option(help=EXECUTOR_HELP)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; call nobody, write nothing.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. equal.clusters=100.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of indexed corpora [default: ~/.cache/bonanza].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Choose documents, have them read, keep their pairs; never a token over the budget."""
    from bonanza.cli.printable import LONGEST_MESSAGE, printable
    from bonanza.cli.progress import Terminal, plan_content, plan_lines, summary_lines
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.errors import UsageError
    from bonanza.run import plan, run
    from bonanza.settings import settings_from

    given: dict[str, Any] = {
        "corpus": tuple(corpus) if corpus else None, "target": target, "budget": budget, "llm": llm, "policy": policy,
        "embedder": embedder, "seed": seed, "limit": limit, "text_field": text_field, "id_field": id_field,
        "filters.least_characters": min_chars, "filters.most_characters": max_chars, "filters.languages": language,
        "prices.input": input_price, "prices.output": output_price, "connection.base_url": base_url,
        "connection.batch": batch or None, "connection.concurrency": concurrency, "connection.rpm": rpm,
        "connection.tpm": tpm, "executor": executor,
        "server.style": STYLE_EXAMPLES if style else None, "server.mend": mend or None, "server.prompts": prompts,
        "decontaminate": tuple(decontaminate) if decontaminate else None,
        "refine.method": refine, "refine.keep": refine_keep, "refine.lm": refine_lm,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    values = _in_few_rounds(values) if batch else values
    if out is None and not dry_run:
        raise UsageError("--out is missing: name a folder for the results.")
    settings = settings_from(values, str(config) if config else "command line")
    if dry_run or out is None:
        with kept_free(json_):
            planned = plan(settings, cache)
        if json_:
            print_json(plan_content(planned))
        else:
            typer.echo("\n".join(plan_lines(planned)))
        return
    drawn: list[str] = []
    with kept_free(json_), stop_requests() as stopping, Terminal(quiet=quiet) as terminal:
        result = run(settings, out, cache, terminal, stopping, reuse=reuse or ())
        if not stopping():
            terminal.stage("drawing the report")
            drawn = _drawn(out, cache)
    if json_:
        print_json(result.summary)
    elif not quiet:
        typer.echo("\n".join([*summary_lines(result.summary, out), *drawn]))
    if result.ended_early:
        why = printable(ENDED_EARLY[result.summary["stop_reason"]] + result.summary["stop_detail"], LONGEST_MESSAGE)
        typer.echo(f"bonanza: {out}: ended early: {why}", err=True)
        raise typer.Exit(3)


def _drawn(out: Path, cache: Path | None) -> list[str]:
    """Write report.html; a line that says so, or why not."""
    from bonanza.cli.report import draw
    from bonanza.errors import MissingExtraError

    try:
        return [f"          {draw(out, cache=cache)}"]
    except MissingExtraError as missing:
        return [f"no report.html: {missing}"]


def _in_few_rounds(values: dict[str, Any]) -> dict[str, Any]:
    """The settings with larger rounds, where none are set."""
    adaptive = values.get("adaptive") or {}
    sizes = {"batch": FIRST_BATCH} | adaptive if isinstance(adaptive, dict) else adaptive
    return {"round_size": BATCH_ROUND} | values | {"adaptive": sizes}
