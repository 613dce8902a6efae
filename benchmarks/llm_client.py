"""Requests per second of the official client alone, and of reading documents through it with a journal.

    OMP_WAIT_POLICY=passive python benchmarks/llm_client.py

A server in a process of its own answers after 50 ms, 200 requests at a time. The client alone sends the same messages
by 200 tasks and throws the answers away; it is measured before and after ours, for the machine may be busy. Ours is the
whole path of a run from documents to readings: prompts, gate, calls and answers in a journal on disk, parsing, places
of the evidence, the reading in the journal. On two cores the server takes one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bonanza.budget import Account, Budget, Prices
from bonanza.executors.concurrent import ConcurrentExecutor
from bonanza.extractors.server import ServerExtractor
from bonanza.extractors.server.client import Endpoint
from bonanza.extractors.server.dialect import Dialect
from bonanza.extractors.server.prompts import load_prompts
from bonanza.journal import CallLog, Journal
from bonanza.records import Document
from bonanza.settings import ConnectionSettings, ServerSettings

SERVER = Path(__file__).resolve().parents[1] / "tests" / "servers" / "hostile.py"
SENTENCE = "Ship {n} left harbour {n} at dawn, and its captain steered it past the cape to the island of salt. "


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    documents = [
        Document(f"page {n}", (SENTENCE.format(n=n) * 20)[: options.characters]) for n in range(options.documents)
    ]
    with _server(options) as url:
        rates = {}
        for name, measure in (("client alone", bare), ("ours", ours), ("client alone, again", bare)):
            rates[name] = len(documents) / measure(url, documents, options.concurrency)
            print(f"| {name} | {rates[name]:.0f} requests/s |", flush=True)
    alone = (rates["client alone"] + rates["client alone, again"]) / 2
    print(f"| ratio | {rates['ours'] / alone:.2f} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=6_000)
    parser.add_argument("--characters", type=int, default=1_500)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that the server takes to answer")
    return parser.parse_args()


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[str]:
    command = [sys.executable, SERVER, "--port", 0, "--delay", options.delay, "--slots", options.concurrency]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().split()[1]}/v1"
    finally:
        process.terminate()
        process.wait()


def bare(url: str, documents: Sequence[Document], concurrency: int) -> float:
    """Seconds that the official client takes for the same messages, and to understand the answers."""
    prompts, parameters = load_prompts(None), Dialect().parameters(2_000, 0.0)
    requests = [prompts.extraction(document.text, 8) for document in documents]

    async def work(client: object, waiting: list[object]) -> None:
        while waiting:
            answer = await client.chat.completions.create(model="m", messages=waiting.pop(), extra_body=parameters)
            json.loads(answer.choices[0].message.content)

    async def all_of_it() -> float:
        from httpx2 import Limits
        from openai import AsyncOpenAI, DefaultAioHttpClient

        limits = Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        async with AsyncOpenAI(
            api_key="none", base_url=url, max_retries=0, http_client=DefaultAioHttpClient(limits=limits)
        ) as client:
            waiting, start = list(requests), time.perf_counter()
            await asyncio.gather(*(work(client, waiting) for _ in range(concurrency)))
            return time.perf_counter() - start

    return asyncio.run(all_of_it())


def ours(url: str, documents: Sequence[Document], concurrency: int) -> float:
    """Seconds from documents to readings in the journal."""
    account = Account(Budget("tokens", 10**12), Prices())
    connection = ConnectionSettings(base_url=url, concurrency=concurrency)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal, closing(CallLog(journal)) as log:
        extractor = ServerExtractor(
            Endpoint("m", url, None), load_prompts(None), ServerSettings(), connection, log, account
        )
        with closing(ConcurrentExecutor(extractor)) as executor:
            start = time.perf_counter()
            for readings in executor.read(documents, lambda: False):
                journal.add(readings)
            seconds = time.perf_counter() - start
        assert len(journal) == len(documents)
        return seconds


if __name__ == "__main__":
    main()
