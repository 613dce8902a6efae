"""Scores by a real HTTP server on this machine that serves a tiny model, and answers as real servers do."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonanza.errors import EndpointError, EndpointRefusedError
from bonanza.interfaces import Passage
from bonanza.language_models import without_progress_bars
from bonanza.records import Turn
from bonanza.scorers.server import PROBE, ServerScorer, token_ends
from bonanza.settings import ConnectionSettings
from servers.llama_cpp import llama_cpp_server

KEY = "sk-abc-123"
CONTEXT = 256


class Served:
    """The completions of a model, in the form of one kind of server.

    form : "echo" (OpenAI's of old, vLLM), "vllm" (prompt_logprobs alone), "neither", "text" (echo without
    log-probabilities) or "shifted" (each token's log-probability after itself)
    plan : statuses of the first answers; 200 after them
    """

    def __init__(self, folder, form: str = "echo", plan: tuple[int, ...] = (), marked: bool = False) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        with without_progress_bars():
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.form, self.plan, self.marked = form, list(plan), marked
        self.requests: list[dict] = []

    def logs(self, ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)

    def ids(self, prompt: str) -> list[int]:
        return [0] * self.marked + self.tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids

    def status(self, body: dict) -> int:
        self.requests.append(body)
        if self.plan:
            return self.plan.pop(0)
        if len(self.ids(body["prompt"])) >= CONTEXT:
            return 400
        return 200

    def answer(self, body: dict) -> dict:
        ids = self.ids(body["prompt"])
        logs = self.logs(ids)
        new = int(logs[-1].argmax())
        said = [*zip(ids[1:], range(len(ids) - 1), strict=True)]
        if self.form == "shifted":
            said = [(token, place + 1) for token, place in said]
        values = [None, *(logs[place, token].item() for token, place in said)]
        choice: dict = {"index": 0, "text": self.text(new)}
        if body.get("echo") and self.form in ("echo", "shifted", "text"):
            choice["text"] = body["prompt"] + choice["text"]
            choice["logprobs"] = {"tokens": [*map(self.text, ids), self.text(new)],
                                  "token_logprobs": [*values, logs[-1, new].item()]}  # fmt: skip
        elif body.get("logprobs") is not None:
            choice["logprobs"] = {"tokens": [self.text(new)], "token_logprobs": [logs[-1, new].item()]}
        if "prompt_logprobs" in body and self.form == "vllm":
            choice["prompt_logprobs"] = [
                value and {str(token): {"logprob": value, "rank": 1, "decoded_token": self.text(token)}}
                for token, value in zip(ids, values, strict=True)
            ]
        if self.form == "text":
            choice["logprobs"] = None
        return {"choices": [choice], "usage": {"prompt_tokens": len(ids), "completion_tokens": 1}}

    def text(self, token: int) -> str:
        return self.tokenizer.decode([token], clean_up_tokenization_spaces=False)

    def entropy(self, before: str, response: str, after: str = "") -> float:
        """Of a response in a text, by one pass over it."""
        whole = before + response + after
        encoded = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        ids, shift = [0] * self.marked + encoded.input_ids, int(self.marked)
        logs, end = self.logs(ids), len(before) + len(response)
        losses = [
            -logs[place + shift - 1, ids[place + shift]].item()
            for place, (first, last) in enumerate(encoded.offset_mapping)
            if first >= len(before) and last <= end
        ]
        return sum(losses) / len(losses)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        served = self.server.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self.send(401, {"error": {"message": f"wrong key: {self.headers['Authorization']}"}})
        status = served.status(body)
        answer = served.answer(body) if status == 200 else {"error": {"message": "the prompt is too long"}}
        return self.send(status, answer)

    def send(self, status: int, answer: dict) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def serving(served: Served | None) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.served = served
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def scorer_at(url: str, key: str = KEY, retries: int = 1, concurrency: int = 128) -> ServerScorer:
    return ServerScorer("tiny", ConnectionSettings(url, concurrency=concurrency, retries=retries, timeout=20), key)


def scores_of(url: str, passages, **options) -> list:
    found = {}
    for batch in scorer_at(url, **options).score(passages):
        found |= batch
    return [found[position] for position in range(len(passages))]


def asked(question: str, answer: str, *knowledge: str) -> Passage:
    return Passage((Turn("user", question), Turn("assistant", answer)), knowledge)


def heading(question: str) -> str:
    return f"### Instruction:\n{question}\n\n### Response:\n"


TEXTS = [
    ("How deep is the lake?", "It is 40 metres deep."),
    ("Wie tief ist der Königssee?", "Überall tief: 190 Meter, außer am Ufer. Schön!"),
    ("😀 湖は?", "湖は深い😀"),
    ("Bread?", "é"),
    ("<s> What is <|end|>?", "a <s> in the middle, and ### Response: too"),
]


@pytest.mark.parametrize("form", ["echo", "vllm"])
@pytest.mark.parametrize("marked", [False, True])
def test_scores_are_those_of_the_model_itself(tiny_models, form, marked):
    served = Served(tiny_models / "llama", form, marked=marked)
    with serving(served) as url:
        scores = scores_of(url, [asked(question, answer) for question, answer in TEXTS])
    for score, (question, answer) in zip(scores, TEXTS, strict=True):
        assert score.entropy == pytest.approx(served.entropy(heading(question), answer), abs=1e-6)


@pytest.mark.parametrize("form", ["echo", "vllm"])
def test_all_that_the_assistant_says_is_scored(tiny_models, form):
    served = Served(tiny_models / "llama", form)
    turns = (Turn("user", "lake?"), Turn("assistant", "déép"), Turn("user", "bread?"), Turn("assistant", "oven"))
    with serving(served) as url:
        (score,) = scores_of(url, [Passage(turns)])
    first = served.entropy(heading("lake?"), "déép", "\n\n" + heading("bread?") + "oven")
    second = served.entropy(heading("lake?") + "déép\n\n" + heading("bread?"), "oven")
    counts = [len(served.ids("déép")), len(served.ids("oven"))]
    assert score.tokens == sum(counts)
    assert score.entropy == pytest.approx((first * counts[0] + second * counts[1]) / sum(counts), abs=1e-6)


def test_what_a_server_understands_is_found_out_once(tiny_models):
    served = Served(tiny_models / "llama", "vllm")
    with serving(served) as url:
        scorer = scorer_at(url)
        for _ in range(2):
            assert len(list(scorer.score([asked(str(number), "deep") for number in range(5)]))) == 5
    assert sum(request["prompt"] == PROBE for request in served.requests) == 3
    assert sum("echo" in request for request in served.requests) == 1
    assert sum("prompt_logprobs" in request for request in served.requests) == 12


@pytest.mark.parametrize("form", ["neither", "text"])
def test_a_server_without_log_probabilities_is_refused_with_what_to_do(tiny_models, form):
    with (
        serving(Served(tiny_models / "llama", form)) as url,
        pytest.raises(EndpointRefusedError, match=r"gives no log-probabilities.*vLLM.*--lm local or hf:PATH"),
    ):
        scores_of(url, [asked("lake?", "deep")])


def test_a_server_that_does_not_accept_the_question_is_quoted(tiny_models):
    with (
        serving(Served(tiny_models / "llama", plan=(400, 422))) as url,
        pytest.raises(EndpointRefusedError, match=r"gives no log-prob.*It said: .*the prompt is too long"),
    ):
        scores_of(url, [asked("lake?", "deep")])


def test_a_server_whose_log_probabilities_stand_one_token_off_is_refused(tiny_models):
    with (
        serving(Served(tiny_models / "gpt2", "shifted")) as url,
        pytest.raises(EndpointRefusedError, match=r"are wrong .* one token off\. Use another server"),
    ):
        scores_of(url, [asked("lake?", "deep")])


def test_a_wrong_key_is_told_and_not_shown(tiny_models):
    with (
        serving(Served(tiny_models / "llama")) as url,
        pytest.raises(EndpointRefusedError, match=r"127.0.0.1.*AuthenticationError.*wrong key: Bearer \[key\]"),
    ):
        scores_of(url, [asked("lake?", "deep")], key="sk-secret")


def test_an_error_that_passes_is_waited_out(tiny_models):
    served = Served(tiny_models / "llama", plan=(500, 200, 200, 503))
    with serving(served) as url:
        (score,) = scores_of(url, [asked("lake?", "deep")], retries=2)
    assert score.entropy == pytest.approx(served.entropy(heading("lake?"), "deep"), abs=1e-6)


def test_an_error_that_stays_and_a_server_that_is_gone_end_the_work(tiny_models):
    with (
        serving(Served(tiny_models / "llama", plan=(500,) * 9)) as url,
        pytest.raises(EndpointError, match="InternalServerError") as stayed,
    ):
        scores_of(url, [asked("lake?", "deep")], retries=0)
    with pytest.raises(EndpointError, match=r"127.0.0.1.*APIConnectionError") as gone:
        scores_of(url, [asked("lake?", "deep")], retries=0)
    assert not isinstance(stayed.value, EndpointRefusedError)
    assert not isinstance(gone.value, EndpointRefusedError)


def test_what_came_before_the_end_is_kept(tiny_models):
    served = Served(tiny_models / "llama", plan=(200,) * 6 + (500,) * 99)
    with serving(served) as url:
        stream = scorer_at(url, retries=0, concurrency=1).score([asked(str(number), "deep") for number in range(20)])
        assert len(next(stream)) == 1
        with pytest.raises(EndpointError):
            list(stream)


def test_knowledge_goes_where_a_prompt_is_too_long_and_the_last_of_it_first(tiny_models):
    served = Served(tiny_models / "llama")
    long = "lake bread oven perch " * 20
    passages = [asked("lake?", "deep", "perch", long, long), asked("lake?", "deep " * 300, "perch")]
    with serving(served) as url:
        shorter, over = scores_of(url, passages)
        (without,) = scores_of(url, [asked("lake?", "deep", "perch", long)])
    assert shorter.entropy == without.entropy
    assert (without.cut, shorter.cut) == (0, -(-len(long) // 4))
    assert math.isnan(over.entropy)


def test_nothing_asks_nothing(tiny_models):
    served = Served(tiny_models / "llama")
    with serving(served) as url:
        assert list(scorer_at(url).score([])) == []
    assert served.requests == []


def test_server_and_model_name_a_scorer(tiny_models):
    assert scorer_at("http://127.0.0.1:9/v1").name == "openai:tiny@http://127.0.0.1:9/v1/plain"


@pytest.mark.parametrize(
    ("texts", "prompt", "ends"),
    [
        (["a", "b", "c"], "abc", [1, 2, 3]),
        (["", "b", "c"], "abc", [1, 2, 3]),
        (["<s>", "ab", "c"], "abc", [0, 2, 3]),
        (["\ufffd", "\ufffd", "\ufffd", " a"], "😀 a", [1, 1, 1, 3]),
        (["a", "\ufffd", "\ufffd"], "aé", [1, 2, 2]),
        (["a", "b", "more", "to", "come"], "ab", [1, 2, 3, 3, 3]),
        (["\ufffd"] * 300 + [" end"], "湖" * 100 + " end", [100] * 300 + [104]),
        ([], "ab", []),
    ],
)
def test_tokens_are_found_in_a_prompt_by_their_texts(texts, prompt, ends):
    assert token_ends(texts, prompt) == ends


@pytest.fixture(scope="module")
def llama_cpp():
    """Address of llama.cpp's Python server with the embedded model."""
    with llama_cpp_server("--n_ctx", 1024, "--logits_all", "true") as address:
        yield address


@pytest.mark.slow
def test_llama_cpps_python_server_tells_shifted_values_and_is_refused(llama_cpp):
    with pytest.raises(EndpointRefusedError, match="one token off"):
        scores_of(llama_cpp, [asked("What is the capital of France?", "Paris.")])
