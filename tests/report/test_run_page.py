"""Facts about the page of a run: it says what the folder holds, at any moment of a run, and nothing in it can act."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seen_pages import HOSTILE, journaled, seen
from typer.testing import CliRunner

from bonanza.cli import app
from bonanza.cli.report import stored_corpus
from bonanza.errors import FolderError
from bonanza.journal import Journal
from bonanza.records import Pair, Reading, Usage
from bonanza.report.data import read_run
from bonanza.report.embedded import script_json
from bonanza.report.sources import JournaledReadings, WrittenTables, asked


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_the_page_says_what_the_summary_says(run_folder):
    page, found = seen(run_folder), summary(run_folder)
    for figure in ("pairs_kept", "documents_read", "documents_total"):
        assert f"{found[figure]:,}" in page.text
    assert f"{found['budget']['spent']:,} of 40,000 tokens" in page.text
    assert f"Ended: {found['stop_reason']}" in page.text


def test_the_curve_ends_at_what_was_spent_and_kept(run_folder):
    found, curve = summary(run_folder), seen(run_folder).data["numbers"]["chart-pairs"]["pairs"]
    assert (curve["tokens"][0], curve["pairs"][0]) == (0, 0)
    assert curve["tokens"][-1] == found["tokens"]["total"]
    assert curve["pairs"][-1] == found["pairs_kept"]
    assert curve["documents"][-1] == found["documents_read"]


def test_saved_is_reckoned_from_the_mean_of_the_read_documents(run_folder):
    top, found = read_run(run_folder).headline, summary(run_folder)
    everything = found["documents_total"] * found["tokens"]["total"] / found["documents_read"]
    assert top.tokens_of_everything == round(everything)
    assert top.saved_share == pytest.approx(1 - found["documents_read"] / found["documents_total"], abs=1e-4)


def test_clusters_add_up_to_what_was_read(run_folder):
    report, found = read_run(run_folder), summary(run_folder)
    in_a_cluster = {cluster.number: cluster for cluster in report.clusters}
    assert sum(cluster.read for cluster in report.clusters) == found["documents_read"]
    assert sum(cluster.kept for cluster in report.clusters) == found["pairs_kept"]
    assert in_a_cluster[0].size == in_a_cluster[1].size == 100
    assert all(len(cluster.words) == 5 and cluster.example for cluster in report.clusters)


def test_evidence_is_shown_where_it_stands_in_its_document(run_folder, small_corpus):
    texts = {record["id"]: record["text"] for record in small_corpus.records}
    pairs = seen(run_folder).data["pairs"]
    assert len(pairs) == summary(run_folder)["pairs_extracted"]
    assert any(pair["b"] for pair in pairs) and any(pair["f"] for pair in pairs)
    for pair in pairs:
        passage = pair["e"].split(" … ")
        assert pair["b"] + passage[0] in texts[pair["d"]] and passage[-1] + pair["f"] in texts[pair["d"]]


def test_without_the_corpus_the_evidence_stands_alone(run_folder, tmp_path):
    page = seen(run_folder, tmp_path)
    assert "the corpus is not in the cache" in page.text
    assert all(pair["e"] and not pair["b"] and not pair["f"] for pair in page.data["pairs"])


def test_a_run_under_way_is_shown_from_its_journal(unfinished_folder, run_folder):
    page, report = seen(unfinished_folder), read_run(unfinished_folder)
    assert "No result is written yet" in page.text
    assert report.headline.documents_read == journaled(unfinished_folder) == summary(run_folder)["documents_read"]
    assert report.headline.spent == summary(run_folder)["budget"]["spent"]
    assert len(page.data["pairs"]) == report.headline.pairs_found == summary(run_folder)["pairs_extracted"]


def test_the_journal_holds_the_pairs_of_the_tables(run_folder):
    written, journal = WrittenTables(run_folder), JournaledReadings(run_folder)
    found = [source.pairs(np.array([0, 3, 4, 11])) for source in (written, journal)]
    assert [one.pair.question for one in found[0]] == [one.pair.question for one in found[1]]
    assert list(written.documents.ids) == list(journal.documents.ids)


def test_a_resumed_run_is_shown_from_its_journal(run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "resumed")
    with Journal(folder) as journal:
        journal.add([Reading("new", "ok", (Pair("Q?", "A.", "new"),), Usage(10, 5))])
        report = read_run(folder)
    assert report.headline.stop_reason is None
    assert report.headline.documents_read == summary(run_folder)["documents_read"] + 1
    assert report.headline.documents_total == summary(run_folder)["documents_total"]


def test_looking_at_a_journal_leaves_no_trace_and_sees_what_is_being_written(tmp_path):
    with Journal(tmp_path) as journal:
        for number in range(3):
            journal.add([Reading(f"document {number}", "ok")])
            before = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
            assert asked(tmp_path, "select count(*) from readings") == [(number + 1,)]
            assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == before
    before = sorted(tmp_path.iterdir())
    assert asked(tmp_path, "select count(*) from readings") == [(3,)]
    assert sorted(tmp_path.iterdir()) == before


def test_a_copied_folder_of_a_killed_run_can_be_read(tmp_path):
    (tmp_path / "run").mkdir()
    with Journal(tmp_path / "run") as journal:
        journal.add([Reading("document", "ok")])
        shutil.copytree(tmp_path / "run", tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
    assert asked(tmp_path / "copy", "select document_id from readings") == [("document",)]


def test_what_was_left_out_is_counted(run_folder, hostile_folder):
    for folder in (run_folder, hostile_folder):
        found, rows = summary(folder), read_run(folder).left_out
        assert sum(row.count for row in rows if row.what == "pair found, not kept") == (
            found["pairs_extracted"] - found["pairs_kept"]
        )
        assert sum(row.count for row in rows if row.what == "document read") == sum(
            count for status, count in found["statuses"].items() if status != "ok"
        )


def test_a_page_is_small_and_asks_the_network_for_nothing(run_folder, hostile_folder, tmp_path):
    for number, folder in enumerate((run_folder, hostile_folder)):
        out = tmp_path / f"{number}.html"
        assert CliRunner().invoke(app, ["report", str(folder), "--out", str(out)]).exit_code == 0
        assert out.stat().st_size < 3_000_000
        addresses = [value for name, value in seen(folder).attributes if name in ("src", "href", "action")]
        assert all(address.startswith(("#", "data:,")) for address in addresses)


def test_documents_full_of_markup_change_nothing(run_folder, hostile_folder):
    page, plain = seen(hostile_folder), seen(run_folder)
    assert set(page.tags) <= set(plain.tags)
    assert page.tags.count("script") == plain.tags.count("script")
    assert {name for name, _ in page.attributes} <= {name for name, _ in plain.attributes}
    questions = [pair["q"] for pair in page.data["pairs"]]
    assert any(HOSTILE[2] in question for question in questions)


def test_only_the_page_s_own_scripts_may_run(run_folder):
    page = seen(run_folder)
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    scripts = [text for name, text in page.scripts.items() if name.startswith("script ")]
    assert len(scripts) == 2
    assert "default-src 'none'" in policy and "script-src 'unsafe" not in policy
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_no_text_leaves_its_data(value):
    text = script_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path):
    with pytest.raises(FolderError, match="holds no journal"):
        read_run(tmp_path)


def test_tables_of_two_runs_are_refused(run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "mixed")
    pq.write_table(pq.read_table(folder / "pairs.parquet").slice(2), folder / "pairs.parquet")
    with pytest.raises(FolderError, match="of two runs"):
        read_run(folder)


def test_the_corpus_gives_texts_by_id(run_folder, small_corpus):
    corpus = stored_corpus(run_folder, None)
    record = small_corpus.records[7]
    assert corpus.texts([record["id"], "unknown"]) == {record["id"]: record["text"]}
