"""Docstrings as documents: on the installed scipy, and on a small package that is odd in every way we know."""

import ast
import inspect
import json
import re
import statistics
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from bonanza.corpus.docstrings import DEMO_TARGET_MODULES, SHORTEST, DocstringReader, module_of
from bonanza.errors import CorpusError
from bonanza.records import Document, Skipped

LONG = "It says so at some length, because a short docstring would not become a document. " * 5
LONGER = LONG + "This one has one sentence more."

ODD_PACKAGE = {
    "__init__.py": f'"""The package. {LONG}"""\nraise RuntimeError("this file must never be run")\n',
    "_hidden.py": f"""
        '''A private module. {LONG}'''
        def shown(first, *rest, key=None, **others):
            '''Shown. {LONG}'''
            def inner():
                '''Inside a function. {LONG}'''
        def _private():
            '''Private. {LONG}'''
        def short():
            '''Too short.'''
        """,
    "shapes.py": f"""
        class Outer:
            '''Outer. {LONG}'''
            def __init__(self, size: int = 3): ...
            class Inner:
                '''Inner. {LONG}'''
                async def wait(self, seconds=0.5):
                    '''Wait. {LONG}'''
            @property
            def size(self):
                '''Size. {LONG}'''
            @size.setter
            def size(self, value):
                '''Set the size. {LONGER}'''
        """,
    "choices.py": f"""
        try:
            import absent
        except ImportError:
            def fallback():
                '''Fallback. {LONG}'''
        if True:
            def twice(old):
                '''Twice. {LONG}'''
        else:
            def twice(new):
                '''Twice. {LONGER}'''
        """,
    "template.py": f"""
        def filled():
            '''Filled at import. {LONG}

            %(before_notes)s

            Notes
            -----
            A share of 5 %(of)s stays.
            '''
        """,
    "additions.py": f"""
        add_newdoc('odd._core', 'compiled', '''Compiled. {LONG}''')
        add_newdoc('odd._core', 'compiled', ('method', '''Method. {LONG}'''))
        add_newdoc('odd._core', 'compiled', ('__hash__', '''Hash. {LONG}'''))
        add_newdoc('odd._core', 'compiled', computed())
        add_newdoc('Alias', 'of something else', '''Not an object of this package. {LONG}''')
        """,
    "escapes.py": f"def invalid_escape():\n    '''A \\d escape. {LONG}'''\n    return 1 is 1\n",
    "broken.py": f"def unfinished(:\n    '''Broken. {LONG}'''\n",
    "nul.py": "x = 1\0\n",
    "test_left_out.py": f"'''A test. {LONG}'''",
    "tests/left_out.py": f"'''A test. {LONG}'''",
    "_vendor/left_out.py": f"'''Vendored. {LONG}'''",
    "not-a-module.py": f"'''Cannot be imported. {LONG}'''",
}


@pytest.fixture
def odd_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "odd"
    for name, source in ODD_PACKAGE.items():
        path = package / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(source.replace("\n        ", "\n"), encoding="utf-8")
    (package / "undeclared.py").write_bytes(f"'''Caf\u00e9. {LONG}'''".encode("latin-1"))
    (package / "declared.py").write_bytes(f"# coding: latin-1\n'''Caf\u00e9. {LONG}'''".encode("latin-1"))
    monkeypatch.syspath_prepend(tmp_path)
    return package


@pytest.fixture(scope="module")
def scipy_stats() -> list[Document | Skipped]:
    return list(DocstringReader(["scipy.stats"]).read())


def documents(records: list[Document | Skipped]) -> dict[str, Document]:
    return {record.id: record for record in records if isinstance(record, Document)}


def skipped(records: list[Document | Skipped]) -> list[Skipped]:
    return [record for record in records if isinstance(record, Skipped)]


def demo_pairs(name: str) -> list[dict[str, str]]:
    text = files("bonanza.corpus").joinpath(f"demo_{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_private_module_gives_its_functions_their_public_name(scipy_stats):
    document = documents(scipy_stats)["scipy.stats.ttest_ind"]
    assert document.text.startswith("scipy.stats.ttest_ind(a, b, *, axis=0, equal_var=True")
    assert "means of *two independent* samples of scores" in document.text
    assert re.fullmatch(r"scipy/stats/_stats_py\.py:\d+", document.origin)


def test_a_text_is_the_docstring_that_python_shows():
    text = documents(list(DocstringReader(["statistics"]).read()))["statistics.quantiles"].text
    assert text == f"statistics.quantiles(data, *, n=4, method='exclusive')\n\n{inspect.getdoc(statistics.quantiles)}"


def test_scipy_stats_gives_hundreds_of_long_documents_and_no_id_twice(scipy_stats):
    ids = [record.id for record in scipy_stats if isinstance(record, Document)]
    assert len(ids) > 300
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids)
    assert all(len(document.text) >= SHORTEST for document in documents(scipy_stats).values())


def test_of_two_functions_with_one_public_name_the_longer_docstring_stays_and_the_other_is_counted(scipy_stats):
    repeated = [record for record in skipped(scipy_stats) if record.detail == "scipy.stats.ttest_ind"]
    assert [record.reason for record in repeated] == ["repeated id"]  # the one for masked arrays
    assert repeated[0].origin.startswith("scipy/stats/_mstats_basic.py:")


def test_reading_twice_gives_the_same_records_in_the_same_order(scipy_stats):
    assert list(DocstringReader(["scipy.stats", "scipy.stats._stats_py"]).read()) == scipy_stats


def test_what_numpy_adds_to_its_c_objects_is_read():
    found = documents(list(DocstringReader(["numpy._core"]).read()))
    assert "An array object represents a multidimensional" in found["numpy.ndarray"].text
    assert found["numpy.ndarray.strides"].origin.startswith("numpy/_core/_add_newdocs.py:")


def test_the_odd_package_gives_exactly_its_public_long_docstrings(odd_package):
    assert sorted(documents(list(DocstringReader(["odd"]).read()))) == [
        "odd", "odd.choices.fallback", "odd.choices.twice", "odd.compiled", "odd.compiled.method", "odd.declared",
        "odd.escapes.invalid_escape", "odd.shapes.Outer", "odd.shapes.Outer.Inner", "odd.shapes.Outer.Inner.wait",
        "odd.shapes.Outer.size", "odd.shown", "odd.template.filled",
    ]  # fmt: skip


def test_nothing_is_imported_or_run(odd_package):
    assert any(isinstance(record, Document) for record in DocstringReader(["odd"]).read())
    assert module_of("odd.shapes.Outer") == "odd.shapes"
    assert not [name for name in sys.modules if name == "odd" or name.startswith("odd.")]


def test_files_that_cannot_be_parsed_are_counted_with_the_cause(odd_package):
    broken = {record.origin: record for record in DocstringReader(["odd"]).read() if isinstance(record, Skipped)}
    reasons = Counter(record.reason for record in broken.values())
    assert reasons == {"broken file": 3, "repeated id": 2}
    assert broken["odd/broken.py"].detail.startswith("SyntaxError: ")
    assert "utf-8" in broken["odd/undeclared.py"].detail
    assert "null bytes" in broken["odd/nul.py"].detail


def test_signatures_are_those_of_the_source(odd_package):
    found = documents(list(DocstringReader(["odd"]).read()))
    assert found["odd.shown"].text.startswith("odd.shown(first, *rest, key=None, **others)\n\nShown.")
    assert found["odd.shapes.Outer"].text.startswith("odd.shapes.Outer(self, size: int=3)\n\nOuter.")
    assert found["odd.shapes.Outer.Inner"].text.startswith("odd.shapes.Outer.Inner\n\nInner.")
    assert found["odd.shapes.Outer.Inner.wait"].text.startswith("odd.shapes.Outer.Inner.wait(self, seconds=0.5)")
    assert found["odd"].text.startswith("odd\n\nThe package.")


def test_the_longest_docstring_of_a_repeated_name_is_kept(odd_package):
    found = documents(list(DocstringReader(["odd"]).read()))
    assert found["odd.shapes.Outer.size"].text.endswith(LONGER)
    assert found["odd.choices.twice"].text.startswith("odd.choices.twice(new)")


def test_a_declared_encoding_is_respected(odd_package):
    assert "Caf\u00e9" in documents(list(DocstringReader(["odd"]).read()))["odd.declared"].text


def test_lines_that_are_only_a_template_placeholder_are_left_out(odd_package):
    text = documents(list(DocstringReader(["odd"]).read()))["odd.template.filled"].text
    assert "before_notes" not in text
    assert text.endswith("A share of 5 %(of)s stays.")


def test_a_part_of_a_package_gives_only_that_part(odd_package):
    records = list(DocstringReader(["odd.shapes"]).read())
    assert {record.origin.partition(":")[0] for record in records} == {"odd/shapes.py"}


@pytest.mark.parametrize("name", ["no_such_package", "scipy.no_such_part", "sys"])
def test_a_package_without_sources_is_reported_and_the_others_are_read(name):
    records = list(DocstringReader([name, "statistics"]).read())
    assert [(record.origin, record.reason) for record in skipped(records)] == [(name, "package not installed")]
    assert documents(records)


@pytest.mark.parametrize("name", ["", ".stats", "scipy..stats", "scikit-learn", "../scipy"])
def test_what_cannot_be_a_package_name_is_refused(name):
    with pytest.raises(
        CorpusError, match=r"is not the name of a Python package\. Write it as in 'import scipy\.stats'"
    ):
        DocstringReader([name])


def test_the_fingerprint_depends_on_the_packages_and_not_on_their_order():
    assert DocstringReader(["numpy", "scipy"]).fingerprint() == DocstringReader(["scipy", "numpy"]).fingerprint()
    different = [["scipy"], ["numpy"], ["scipy.stats"], ["scipy", "numpy"], ["statistics"], ["no_such_package"], []]
    assert len({DocstringReader(names).fingerprint() for names in different}) == len(different)


def test_the_fingerprint_of_a_package_without_a_version_follows_its_sources(odd_package):
    before = DocstringReader(["odd"]).fingerprint()
    assert DocstringReader(["odd"]).fingerprint() == before
    (odd_package / "shapes.py").write_text("changed = True\n", encoding="utf-8")
    assert DocstringReader(["odd"]).fingerprint() != before


@pytest.mark.parametrize(
    ("document_id", "module"),
    [
        ("scipy.stats", "scipy.stats"),
        ("scipy.stats.ttest_ind", "scipy.stats"),
        ("scipy.stats.rv_continuous.pdf", "scipy.stats"),
        ("scipy.stats.contingency.crosstab", "scipy.stats.contingency"),
        ("numpy.ndarray", "numpy"),
        ("statistics.NormalDist.overlap", "statistics"),
        ("no_such_package.part", "no_such_package"),
    ],
)
def test_the_module_of_a_document_is_found(document_id, module):
    assert module_of(document_id) == module


def test_the_modules_of_the_demo_target_are_installed_and_documented():
    records = list(DocstringReader(DEMO_TARGET_MODULES).read())
    assert {module_of(each) for each in documents(records)} >= set(DEMO_TARGET_MODULES)
    assert not [record for record in skipped(records) if record.reason == "package not installed"]


def test_the_demo_ships_forty_pairs_and_twenty_others():
    target, held_out = demo_pairs("target"), demo_pairs("test")
    assert (len(target), len(held_out)) == (40, 20)
    assert all(pair.keys() == {"question", "answer"} and all(pair.values()) for pair in target + held_out)
    for column in ("question", "answer"):
        assert len({pair[column] for pair in target + held_out}) == 60


@pytest.mark.parametrize("name", ["target", "test"])
def test_code_in_demo_answers_runs(name, capsys):
    snippets = [
        code for pair in demo_pairs(name) for code in re.findall(r"```python\n(.*?)```", pair["answer"], re.DOTALL)
    ]
    assert len(snippets) >= len(demo_pairs(name)) * 2 // 3
    for snippet in snippets:
        exec(compile(ast.parse(snippet), f"demo_{name}.jsonl", "exec"), {})
        assert capsys.readouterr().out.strip()
