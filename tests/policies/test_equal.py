from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.embedders.alignment import AlignedEmbedder, StaticAligner
from bonanza.embedders.static import StaticEmbedder, fit_static
from bonanza.interfaces import AlignmentReport, Pool
from bonanza.policies.equal import EqualPolicy, equal_sizes
from bonanza.policies.equal_arms import Arms, Reward
from bonanza.records import Document, Pair, Question, Reading, Target
from bonanza.settings import AlignmentSettings, EqualSettings, TransportSettings

TOPICS, PER_TOPIC, GOOD = 8, 40, 3
PAPER, CODE = EqualSettings(), EqualSettings(variant="code")
UNALIGNED = replace(PAPER, align=False)
# These texts of a few made-up words would be alike by the markers of the chat format alone.
CODE_PLAIN = replace(CODE, pair_format="plain")

Read = Callable[[Document], Reading]


@dataclass
class World:
    """A pool of documents on planted topics, a target, and what reading each document gives."""

    pool: Pool
    target: Target
    embedder: StaticEmbedder
    topics: np.ndarray
    readings: dict[str, Reading] = field(default_factory=dict)

    def policy(self, settings: EqualSettings = PAPER) -> EqualPolicy:
        report = AlignmentReport(0, 0, 0.0, 0.0, False, "Not aligned.")
        alignment = StaticAligner(self.embedder, AlignmentSettings(least_pairs=20, table_epochs=2))
        return EqualPolicy(settings, AlignedEmbedder(self.embedder, report), alignment)


def words(topic: int, kind: str, rng: np.random.Generator, count: int) -> str:
    """Some words of a topic; each kind of text has its own."""
    letters = "abcdefgh"[topic]
    return " ".join(f"{kind}{letters}{number}" for number in rng.choice(20, count))


@cache
def embedder_of_all_words() -> StaticEmbedder:
    """One embedder for all worlds: 64 dimensions, from four texts of each kind on each topic."""
    rng = np.random.default_rng(0)
    kinds = [(topic, kind) for topic in range(TOPICS) for kind in ("page", "answer")]
    return fit_static([words(topic, kind, rng, 40) for topic, kind in kinds * 4])


def world(topics: Sequence[int], affordable: int, answer_kind: str = "page") -> World:
    """Documents of these topics. Those of the GOOD topic give three pairs on the target's matter, every other
    document one pair on its own, every third one of them nothing."""
    rng = np.random.default_rng(0)
    texts = [words(topic, "page", rng, 25) for topic in topics]
    ids = [f"document-{number}" for number in range(len(texts))]
    documents = [Document(id_, text) for id_, text in zip(ids, texts, strict=True)]
    target_pairs = [Question(words(GOOD, answer_kind, rng, 6), words(GOOD, answer_kind, rng, 6)) for _ in range(30)]
    embedder = embedder_of_all_words()
    readings = {}
    for number, (id_, topic) in enumerate(zip(ids, topics, strict=True)):
        kind = answer_kind if topic == GOOD else "page"
        count = 3 if topic == GOOD else int(number % 3 > 0)
        pairs = tuple(Pair(words(topic, kind, rng, 6), words(topic, kind, rng, 6), id_) for _ in range(count))
        readings[id_] = Reading(id_, "ok" if pairs else "empty", pairs)
    pool = Pool(
        ids=ids,
        lengths=np.array([len(text) for text in texts]),
        vectors=embedder.embed(texts).astype(np.float16),
        affordable=affordable,
        fetch=lambda rows: [documents[row] for row in rows],
        costs=np.ones(len(ids)),
    )
    return World(pool, Target(tuple(target_pairs)), embedder, np.array(topics), readings)


def mixed(answer_kind: str = "page") -> World:
    topics = np.random.default_rng(1).permutation(np.repeat(np.arange(TOPICS), PER_TOPIC))
    return world(topics.tolist(), affordable=200, answer_kind=answer_kind)


@pytest.fixture(scope="module")
def eight_topics() -> World:
    return mixed()


@pytest.fixture(scope="module")
def misleading() -> World:
    """What the good documents give is like the target; the documents themselves share no word with it."""
    return mixed(answer_kind="answer")


def play(
    where: World, policy: EqualPolicy, most: int = 10**9, count: int = 7, seed: int = 0, read_until: int = 10**9
) -> list[int]:
    """Choose and read until `most` documents are named; of those after the first `read_until` nothing is learned."""
    policy.start(where.pool, where.target, np.random.default_rng(seed))
    named: list[int] = []
    while len(named) < most and (rows := policy.choose(count)):
        policy.learn(
            [where.readings[where.pool.ids[row]] for place, row in enumerate(rows, len(named)) if place < read_until]
        )
        named += rows
    return named[:most]


def warmup_of(policy: EqualPolicy) -> int:
    return int(policy.report()["warmup"])


@pytest.mark.parametrize("settings", [PAPER, CODE, UNALIGNED, replace(PAPER, within_cluster="nearest")])
def test_every_document_is_named_once_and_then_nothing(eight_topics: World, settings: EqualSettings) -> None:
    policy = eight_topics.policy(settings)
    assert sorted(play(eight_topics, policy)) == list(range(len(eight_topics.pool)))
    assert policy.choose(5) == []
    assert policy.choose(5) == []


@pytest.mark.parametrize("settings", [PAPER, CODE])
def test_equal_generators_make_equal_choices(eight_topics: World, settings: EqualSettings) -> None:
    first, second = (play(eight_topics, eight_topics.policy(settings), most=80) for _ in range(2))
    assert first == second


def test_another_generator_makes_other_choices(eight_topics: World) -> None:
    first, second = (play(eight_topics, eight_topics.policy(), most=60, seed=seed) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("settings", [PAPER, CODE])
def test_how_many_are_asked_for_at_a_time_changes_nothing(eight_topics: World, settings: EqualSettings) -> None:
    by_count = [play(eight_topics, eight_topics.policy(settings), most=80, count=count) for count in (1, 100)]
    assert by_count[0] == by_count[1]


def test_no_more_are_named_than_asked_for(eight_topics: World) -> None:
    policy = eight_topics.policy()
    policy.start(eight_topics.pool, eight_topics.target, np.random.default_rng(0))
    assert len(policy.choose(3)) == 3


def test_the_warmup_comes_first_and_is_as_long_as_reported(eight_topics: World) -> None:
    policy = eight_topics.policy()
    policy.start(eight_topics.pool, eight_topics.target, np.random.default_rng(0))
    sizes = equal_sizes(PAPER, len(eight_topics.pool), eight_topics.pool.affordable)
    assert policy.report()["phase"] == "warm-up"
    assert policy.clusters is None
    assert len(policy.choose(1000)) == sizes.warmup == warmup_of(policy) == 20
    policy.choose(1)
    assert policy.report()["phase"] == "bandit"
    assert policy.clusters is not None


def test_the_warmup_knows_nothing_of_the_target(eight_topics: World) -> None:
    other = replace(eight_topics, target=Target((Question("pagea1 pagea2", "pagea3"),)))
    one, another = (play(where, where.policy(), most=20) for where in (eight_topics, other))
    assert one == another


def test_a_round_names_as_many_documents_of_as_many_clusters_as_reported(eight_topics: World) -> None:
    policy = eight_topics.policy(replace(UNALIGNED, arms_per_round=3, documents_per_arm=4))
    warmup = play(eight_topics, policy, most=20, count=20)
    rows = policy.choose(1000)
    assert len(warmup) == 20
    assert len(rows) == 12
    labels = policy.clusters[rows].tolist()
    assert [labels[i : i + 4] == [labels[i]] * 4 for i in (0, 4, 8)] == [True, True, True]
    assert len(set(labels)) == 3


def good_found(where: World, policy: EqualPolicy, seed: int) -> int:
    """Good documents among the first 120 of 320, which are the warm-up, a visit to each cluster, and 55 more."""
    return int(np.sum(where.topics[play(where, policy, most=120, seed=seed)] == GOOD))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("settings", [PAPER, UNALIGNED, CODE_PLAIN])
def test_most_good_documents_are_found_early(eight_topics: World, settings: EqualSettings, seed: int) -> None:
    assert good_found(eight_topics, eight_topics.policy(settings), seed) >= 0.6 * PER_TOPIC  # by chance 0.375


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("settings", [PAPER, UNALIGNED, CODE_PLAIN])
def test_what_a_cluster_gives_shows_it_where_documents_are_unlike_the_target(
    misleading: World, settings: EqualSettings, seed: int
) -> None:
    policy = misleading.policy(replace(settings, first_visits="number"))
    assert good_found(misleading, policy, seed) >= 0.6 * PER_TOPIC


def test_code_visits_clusters_by_number_first(eight_topics: World) -> None:
    # An offset of 10 puts every pulled cluster below the 0 of those never pulled; no neighbours, so each stands alone.
    settings = replace(CODE, neighbour_distance=0.0, transport=TransportSettings(offset=10.0))
    policy = eight_topics.policy(settings)
    after = play(eight_topics, policy, most=20 + 9 * 5)[20:]
    visited = list(dict.fromkeys(policy.clusters[after].tolist()))
    assert visited == list(range(9))


def test_paper_visits_the_clusters_nearest_to_the_target_first(eight_topics: World) -> None:
    policy = eight_topics.policy(replace(UNALIGNED, count_warmup=False, arms_per_round=9))
    after = play(eight_topics, policy, most=20 + 45)[20:]
    assert (eight_topics.topics[after[:5]] == GOOD).all()


def test_counting_the_warmup_spares_clusters_it_has_shown_to_be_poor(eight_topics: World) -> None:
    counting, blind = (
        play(eight_topics, eight_topics.policy(replace(UNALIGNED, count_warmup=count, first_visits="number")), most=65)
        for count in (True, False)
    )
    good = [np.sum(eight_topics.topics[rows] == GOOD) for rows in (counting, blind)]
    assert good[0] > good[1]


def test_warmup_readings_count_as_parts_of_pulls(eight_topics: World) -> None:
    policy = eight_topics.policy(replace(UNALIGNED, clusters=1))
    play(eight_topics, policy, most=21)
    assert policy.report()["best_clusters"][0]["pulls"] == 20 / 5


@pytest.mark.parametrize("settings", [PAPER, CODE])
@pytest.mark.parametrize("read_until", [0, 10, 23, 61])
def test_documents_that_no_longer_fit_the_budget_break_nothing(
    eight_topics: World, settings: EqualSettings, read_until: int
) -> None:
    policy = eight_topics.policy(settings)
    named = play(eight_topics, policy, most=100, read_until=read_until)
    assert len(set(named)) == 100
    policy.report()


def test_a_cluster_of_which_nothing_was_read_has_no_pull(eight_topics: World) -> None:
    policy = eight_topics.policy(UNALIGNED)
    play(eight_topics, policy, most=100, read_until=0)
    assert policy.report()["best_clusters"] == []


def test_emptied_clusters_leave_the_race_and_rounds_go_on(eight_topics: World) -> None:
    policy = eight_topics.policy(replace(UNALIGNED, arms_per_round=2, documents_per_arm=1000))
    policy.start(eight_topics.pool, eight_topics.target, np.random.default_rng(0))
    policy.choose(1000)
    seen: set[int] = set()
    while rows := policy.choose(1000):
        labels = set(policy.clusters[rows].tolist())
        assert not labels & seen
        seen |= labels
    assert all(cluster["unread"] == 0 for cluster in policy.report()["best_clusters"])


def test_documents_of_a_cluster_come_nearest_first_where_asked(eight_topics: World) -> None:
    policy = eight_topics.policy(
        replace(UNALIGNED, within_cluster="nearest", clusters=1, transport=TransportSettings(reference_pairs=30))
    )
    after = play(eight_topics, policy)[20:]
    texts = [f"{pair.question}\n{pair.answer}" for pair in eight_topics.target.pairs]
    similarity = eight_topics.pool.vectors.astype(np.float32) @ eight_topics.embedder.embed(texts).mean(axis=0)
    assert (np.diff(similarity[after]) <= 1e-6).all()


def test_neighbouring_clusters_share_rewards_and_counts_in_the_code_variant() -> None:
    two_topics = world([GOOD, 5] * 40, affordable=60)
    flat = two_topics.pool.vectors.astype(np.float32).copy()
    for topic in (GOOD, 5):  # each topic shrunk to a spot: the clusters that split it are alike
        members = two_topics.topics == topic
        centre = flat[members].mean(axis=0)
        flat[members] = centre / np.linalg.norm(centre) + 0.02 * (flat[members] - centre)
    two_topics = replace(two_topics, pool=replace(two_topics.pool, vectors=flat.astype(np.float16)))
    policy = two_topics.policy(replace(CODE, align=False, clusters=6, arms_per_round=1))
    round_one = play(two_topics, policy, most=25, count=5)[20:]
    policy.choose(1)
    topic = two_topics.topics[round_one[0]]
    of_topic = {int(cluster) for cluster in policy.clusters[two_topics.topics == topic]}
    best = policy.report()["best_clusters"]
    assert len(of_topic) > 1
    assert {cluster["cluster"] for cluster in best} == of_topic
    assert {cluster["pulls"] for cluster in best} == {1.0}
    assert len({cluster["reward"] for cluster in best}) == 1


def test_paper_clusters_share_nothing(eight_topics: World) -> None:
    policy = eight_topics.policy(replace(UNALIGNED, count_warmup=False))
    play(eight_topics, policy, most=25, count=5)
    policy.choose(1)
    assert len(policy.report()["best_clusters"]) == 1


@pytest.mark.parametrize("documents", [1, 2, 5])
@pytest.mark.parametrize("affordable", [1, 5])
@pytest.mark.parametrize(
    "settings",
    [PAPER, CODE, EqualSettings(preset="released"), replace(PAPER, clusters="elbow"), replace(CODE, clusters=50)],
)
def test_tiny_pools_are_read_to_the_end(documents: int, affordable: int, settings: EqualSettings) -> None:
    tiny = world([GOOD, 1, 2, 5, GOOD][:documents], min(affordable, documents))
    assert sorted(play(tiny, tiny.policy(settings))) == list(range(documents))


@pytest.mark.parametrize("settings", [PAPER, CODE, replace(PAPER, clusters=7)])
def test_identical_documents_are_read_to_the_end(eight_topics: World, settings: EqualSettings) -> None:
    vectors = np.repeat(eight_topics.pool.vectors[:1], len(eight_topics.pool), axis=0)
    same = replace(eight_topics, pool=replace(eight_topics.pool, vectors=vectors))
    policy = same.policy(replace(settings, align=False))
    assert sorted(play(same, policy)) == list(range(len(same.pool)))


def test_documents_of_no_known_token_are_read_to_the_end(eight_topics: World) -> None:
    vectors = np.zeros_like(eight_topics.pool.vectors)
    unknown = replace(eight_topics, pool=replace(eight_topics.pool, vectors=vectors))
    assert sorted(play(unknown, unknown.policy(UNALIGNED))) == list(range(len(unknown.pool)))


@pytest.mark.parametrize("settings", [PAPER, CODE])
def test_a_target_of_one_pair_is_enough(eight_topics: World, settings: EqualSettings) -> None:
    lone = replace(eight_topics, target=Target(eight_topics.target.pairs[:1]))
    policy = lone.policy(settings)
    assert len(set(play(lone, policy, most=100))) == 100


def test_a_pool_that_gives_no_pair_at_all_is_read_on(eight_topics: World) -> None:
    barren = replace(eight_topics, readings={id_: Reading(id_, "empty") for id_ in eight_topics.pool.ids})
    for variant in (PAPER, CODE):
        assert len(set(play(barren, barren.policy(variant), most=100))) == 100


def test_pairs_that_were_not_kept_count_for_nothing(eight_topics: World) -> None:
    spoiled = {
        id_: replace(reading, pairs=tuple(replace(pair, status="duplicate") for pair in reading.pairs))
        for id_, reading in eight_topics.readings.items()
    }
    barren = {id_: Reading(id_, "empty") for id_ in eight_topics.pool.ids}
    one, another = (
        play(where, where.policy(), most=120)
        for where in (replace(eight_topics, readings=spoiled), replace(eight_topics, readings=barren))
    )
    assert one == another


def test_no_warmup_can_be_asked_for(eight_topics: World) -> None:
    policy = eight_topics.policy(replace(PAPER, warmup_share=0.0))
    named = play(eight_topics, policy, most=30)
    assert warmup_of(policy) == 0
    assert len(set(named)) == 30
    assert "not tried" in policy.report()["alignment"]["note"]


def test_the_report_is_made_of_plain_values(eight_topics: World) -> None:
    policy = eight_topics.policy()
    play(eight_topics, policy, most=60)

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
        return all(map(plain, value)) if isinstance(value, list) else type(value) in (str, int, float, bool)

    assert plain(dict(policy.report()))


# The arms on their own


def arms_of(references: np.ndarray, settings: EqualSettings, clusters: np.ndarray, neighbours: np.ndarray) -> Arms:
    reward = Reward(settings, references, np.random.default_rng(0))
    return Arms(reward, clusters, np.arange(len(clusters)), neighbours, np.zeros(len(neighbours)))


def cloud(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, 8))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("value", ["pooled", "batches"])
def test_without_subsampling_the_order_of_documents_and_pulls_does_not_change_a_value(value: str) -> None:
    # With pairs_per_comparison above 0 the groups are drawn at random, and the value holds only on average.
    chosen = replace(PAPER, value=value, transport=TransportSettings(pairs_per_comparison=0))
    pulls = [(cloud(5, 1), 1), (cloud(3, 2), 0), (cloud(4, 3), 2)]
    values = []
    for order in ([0, 1, 2], [2, 0, 1]):
        arms = arms_of(cloud(20, 0), chosen, np.zeros(12, np.int64), np.eye(1, dtype=np.bool_))
        for pull in order:
            vectors, empty = pulls[pull]
            arms.give(0, arms.costs(vectors[::-1] if order[0] else vectors), empty, 1.0)
        arms.revalue()
        values.append(arms.values[0])
    assert values[0] == pytest.approx(values[1], abs=1e-9)


def test_renumbering_the_documents_of_a_pool_leaves_each_cluster_its_own() -> None:
    clusters = np.array([0, 1, 1, 2, 0, 1])
    shuffle = np.array([3, 5, 0, 1, 4, 2])  # new row i is old row shuffle[i]
    old = arms_of(cloud(5, 0), PAPER, clusters, np.eye(3, dtype=np.bool_))
    new = arms_of(cloud(5, 0), PAPER, clusters[shuffle], np.eye(3, dtype=np.bool_))
    for arm in range(3):
        assert sorted(shuffle[new.draw(arm, 10)].tolist()) == sorted(old.draw(arm, 10))


def test_an_arm_whose_pairs_are_the_references_has_the_reward_one() -> None:
    references = cloud(16, 4)
    arms = arms_of(references, PAPER, np.zeros(3, np.int64), np.eye(1, dtype=np.bool_))
    arms.give(0, arms.costs(references), 0, 1.0)
    arms.revalue()
    assert arms.values[0] == pytest.approx(1.0, abs=1e-6)


def test_documents_without_pairs_lower_the_reward_in_the_paper_variant_only() -> None:
    near = cloud(16, 5)
    for settings_, lowers in ((PAPER, True), (CODE, False)):
        values = []
        for empty in (0, 8):
            arms = arms_of(near, settings_, np.zeros(3, np.int64), np.eye(1, dtype=np.bool_))
            arms.give(0, arms.costs(near), empty, 1.0)
            arms.revalue()
            values.append(arms.values[0])
        assert (values[1] < values[0] - 0.1) == lowers


@pytest.mark.parametrize(("settings_", "worst"), [(PAPER, 0.0), (CODE, 1 - 2**0.5 - 0.12)])
def test_a_pull_without_any_pair_is_worth_as_much_as_unrelated_text(settings_: EqualSettings, worst: float) -> None:
    arms = arms_of(cloud(20, 6), settings_, np.zeros(3, np.int64), np.eye(1, dtype=np.bool_))
    arms.give(0, arms.costs(np.zeros((0, 8), np.float32)), 5, 1.0)
    arms.revalue()
    assert arms.values[0] == pytest.approx(worst, abs=1e-6)


def test_code_values_an_arm_by_the_mean_of_its_batches() -> None:
    references, near, far = cloud(20, 7), cloud(20, 7)[:5], -cloud(20, 7)[:5]
    reward = Reward(CODE, references, np.random.default_rng(0))
    arms = Arms(reward, np.zeros(3, np.int64), np.arange(3), np.eye(1, dtype=np.bool_), np.zeros(1))
    for vectors in (near, far):
        arms.give(0, arms.costs(vectors), 0, 1.0)
    arms.revalue()
    expected = np.mean([reward.of(reward.costs(vectors)) for vectors in (near, far)])
    assert arms.values[0] == pytest.approx(expected)


def test_a_reward_is_shared_with_neighbours_and_nobody_else() -> None:
    neighbours = np.eye(3, dtype=np.bool_)
    neighbours[0, 2] = neighbours[2, 0] = True
    arms = arms_of(cloud(20, 8), CODE, np.array([0, 1, 2]), neighbours)
    arms.give(0, arms.costs(cloud(5, 9)), 0, 1.0)
    arms.revalue()
    assert arms.pulls.tolist() == [1.0, 0.0, 1.0]
    assert arms.values[0] == arms.values[2] != 0
    assert arms.values[1] == 0


# Sizes

shares = st.none() | st.floats(0, 1)
some_settings = st.builds(
    EqualSettings,
    preset=st.sampled_from(["scaled", "released"]),
    warmup_share=shares,
    clusters=st.none() | st.integers(1, 3000) | st.sampled_from(["auto", "elbow"]),
    arms_per_round=st.none() | st.integers(1, 100),
    documents_per_arm=st.none() | st.integers(1, 50),
)


@st.composite
def pools(draw: st.DrawFn) -> tuple[int, int]:
    """Documents and how many of them the budget pays for."""
    documents = draw(st.integers(1, 5_000_000))
    return documents, draw(st.integers(1, documents))


@settings(deadline=None, max_examples=200)
@given(some_settings, pools())
def test_sizes_always_make_sense(settings_: EqualSettings, pool: tuple[int, int]) -> None:
    documents, affordable = pool
    sizes = equal_sizes(settings_, documents, affordable)
    assert 0 <= sizes.warmup <= documents
    assert 1 <= sizes.clusters <= documents
    assert sizes.arms_per_round >= 1
    assert sizes.documents_per_arm >= 1
    assert sizes.warmup <= max(affordable // 2, 1)


@settings(deadline=None, max_examples=200)
@given(pools())
def test_scaled_clusters_are_no_more_than_a_thousand_and_the_budget_can_visit_each(pool: tuple[int, int]) -> None:
    documents, affordable = pool
    sizes = equal_sizes(PAPER, documents, affordable)
    assert sizes.clusters <= 1000
    assert sizes.clusters == 1 or sizes.warmup + 4 * sizes.clusters * sizes.documents_per_arm <= affordable
    assert sizes.clusters == 1 or documents / sizes.clusters >= 20
    assert sizes.warmup >= 1


@settings(deadline=None, max_examples=100)
@given(pools(), st.integers(1, 1000))
def test_a_larger_budget_never_means_fewer_clusters_or_a_shorter_warmup(pool: tuple[int, int], more: int) -> None:
    documents, affordable = pool
    less = equal_sizes(PAPER, documents + more, affordable)
    greater = equal_sizes(PAPER, documents + more, affordable + more)
    assert greater.warmup >= less.warmup
    assert greater.clusters >= less.clusters


def test_sizes_that_are_set_are_kept() -> None:
    chosen = EqualSettings(warmup_share=0.1, clusters=30, arms_per_round=7, documents_per_arm=3)
    sizes = equal_sizes(chosen, documents=1000, affordable=800)
    assert (sizes.warmup, sizes.clusters, sizes.arms_per_round, sizes.documents_per_arm) == (100, 30, 7, 3)
