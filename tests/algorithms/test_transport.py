import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from bonanza.algorithms.transport import ShapeError, cost_matrix, fixed_size_cost, ipot_cost, transport_cost

sizes = st.integers(1, 8)
seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=25)


def cloud(points: int, dim: int, rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """Unit rows around the first axis; the greater `spread`, the wider."""
    drawn = rng.normal(size=(points, dim)) * spread + np.eye(dim)[0]
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random cost matrix and masses that sum to 1, some of them 0."""
    rows, columns = draw(sizes), draw(sizes)
    rng = np.random.default_rng(draw(seeds))
    masses = [rng.gamma(0.5, size=count) * (rng.random(count) < 0.8) + 1e-3 for count in (rows, columns)]
    return rng.random((rows, columns)) * 2, masses[0] / masses[0].sum(), masses[1] / masses[1].sum()


def by_linear_program(cost: np.ndarray, source_mass: np.ndarray, target_mass: np.ndarray) -> float:
    rows, columns = cost.shape
    leaves = np.kron(np.eye(rows), np.ones(columns))  # (rows, rows * columns): what leaves each source
    arrives = np.kron(np.ones(rows), np.eye(columns))
    solution = linprog(
        cost.ravel(),
        A_eq=np.concatenate([leaves, arrives])[:-1],  # the last constraint follows from the others
        b_eq=np.concatenate([source_mass, target_mass])[:-1],
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert solution.status == 0
    return float(solution.fun)


def literal_ipot(cost: np.ndarray, beta: float = 1.0, outer_steps: int = 500, inner_steps: int = 10) -> float:
    """Xie et al. (2020), algorithm 1, element by element as printed; equal masses mu and nu."""
    n, m = cost.shape
    mu, nu = np.ones(n) / n, np.ones(m) / m
    b = np.ones(m) / m
    gibbs = np.exp(-cost / beta)
    plan = np.ones((n, m))
    for _ in range(outer_steps):
        q = gibbs * plan
        for _ in range(inner_steps):
            a = mu / (q @ b)
            b = nu / (q.T @ a)
        plan = a[:, None] * q * b[None, :]
    return float((plan * cost).sum())


@few
@given(problems())
def test_exact_cost_matches_a_linear_program(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert transport_cost(*problem) == pytest.approx(by_linear_program(*problem), abs=1e-9)


def test_without_masses_all_points_weigh_the_same() -> None:
    cost = np.random.default_rng(0).random((3, 5))
    given_masses = transport_cost(cost, np.full(3, 1 / 3), np.full(5, 1 / 5))
    assert transport_cost(cost) == pytest.approx(given_masses, abs=1e-12)


def test_a_single_source_point_pays_its_mean_cost() -> None:
    cost = np.array([[0.25, 0.5, 1.5]])
    for solver in ("exact", "sinkhorn", "ipot"):
        assert transport_cost(cost, solver=solver) == pytest.approx(0.75, abs=1e-9)


@few
@given(problems())
def test_sinkhorn_is_never_below_exact(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert transport_cost(*problem, solver="sinkhorn", regularisation=0.1) >= transport_cost(*problem) - 1e-6


def test_sinkhorn_comes_near_exact_as_regularisation_falls() -> None:
    rng = np.random.default_rng(1)
    cost = cost_matrix(cloud(20, 8, rng), cloud(30, 8, rng))
    excess = [
        transport_cost(cost, solver="sinkhorn", regularisation=weight) - transport_cost(cost)
        for weight in (0.3, 0.05, 0.005)
    ]
    assert excess[0] > excess[1] > excess[2]
    assert excess[2] < 0.005 * transport_cost(cost)


@few
@given(st.integers(1, 30), st.integers(1, 30), seeds)
def test_sinkhorn_exceeds_exact_by_at_most_its_entropy_term(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).random((rows, columns)) * 2
    excess = transport_cost(cost, solver="sinkhorn", regularisation=0.1) - transport_cost(cost)
    assert excess <= 0.1 * np.log(min(rows, columns)) + 1e-6  # plans of given margins differ by no more entropy


@few
@given(problems())
def test_cost_is_the_same_in_both_directions(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    cost, source_mass, target_mass = problem
    assert transport_cost(cost.T, target_mass, source_mass) == pytest.approx(transport_cost(*problem), abs=1e-9)


@few
@given(sizes, st.integers(2, 6), seeds)
def test_a_cloud_costs_nothing_from_itself(points: int, dim: int, seed: int) -> None:
    unit = cloud(points, dim, np.random.default_rng(seed))
    assert transport_cost(cost_matrix(unit, unit)) == pytest.approx(0.0, abs=1e-12)


@few
@given(problems(), st.floats(0.01, 100))
def test_cost_scales_with_the_prices(problem: tuple[np.ndarray, np.ndarray, np.ndarray], factor: float) -> None:
    cost, *masses = problem
    assert transport_cost(cost * factor, *masses) == pytest.approx(factor * transport_cost(*problem), rel=1e-8)


@few
@given(problems(), seeds)
def test_higher_prices_never_lower_the_cost(problem: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    cost, *masses = problem
    rise = np.random.default_rng(seed).random(cost.shape)
    assert transport_cost(cost + rise, *masses) >= transport_cost(*problem) - 1e-12


@few
@given(problems(), seeds)
def test_the_order_of_points_does_not_matter(problem: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    cost, source_mass, target_mass = problem
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(cost.shape[0]), rng.permutation(cost.shape[1])
    shuffled = transport_cost(cost[rows][:, columns], source_mass[rows], target_mass[columns])
    assert shuffled == pytest.approx(transport_cost(*problem), abs=1e-9)


def test_cosine_and_euclidean_prices_agree_with_their_definitions() -> None:
    rng = np.random.default_rng(3)
    source, target = cloud(4, 5, rng), cloud(6, 5, rng)
    apart = np.array([[np.linalg.norm(one - other) for other in target] for one in source])
    cosine = np.array([[1 - one @ other for other in target] for one in source])
    np.testing.assert_allclose(cost_matrix(source, target, "euclidean"), apart, atol=1e-12)
    np.testing.assert_allclose(cost_matrix(source, target, "cosine"), cosine, atol=1e-12)


def test_half_precision_rows_a_little_too_long_have_no_negative_price() -> None:
    unit = cloud(50, 16, np.random.default_rng(4)).astype(np.float16)
    assert cost_matrix(unit, unit).min() >= 0.0


@pytest.mark.parametrize(
    ("rows", "columns", "dim", "spread"),
    [
        (70, 100, 64, 1.0),
        (70, 100, 64, 0.15),
        (1, 100, 64, 0.3),
        (5, 3, 8, 0.3),
        (30, 30, 16, 0.5),
        (160, 100, 64, 0.2),
    ],
)
def test_ipot_matches_the_algorithm_as_printed(rows: int, columns: int, dim: int, spread: float) -> None:
    rng = np.random.default_rng(rows)
    cost = cost_matrix(cloud(rows, dim, rng, spread), cloud(columns, dim, rng, spread), "euclidean")
    assert ipot_cost(cost) == pytest.approx(literal_ipot(cost), abs=1e-3)


def test_ipot_without_early_stop_is_the_algorithm_as_printed_exactly() -> None:
    rng = np.random.default_rng(5)
    cost = cost_matrix(cloud(12, 8, rng), cloud(20, 8, rng), "euclidean")
    assert ipot_cost(cost, tolerance=-np.inf) == pytest.approx(literal_ipot(cost), abs=1e-12)


def test_ipot_on_equal_clouds_is_near_nothing() -> None:
    unit = cloud(40, 64, np.random.default_rng(6))
    assert ipot_cost(cost_matrix(unit, unit, "euclidean")) == pytest.approx(0.0, abs=1e-3)


def test_ipot_is_an_upper_bound_within_a_thousandth_of_exact_on_a_hundred_references() -> None:
    rng = np.random.default_rng(7)
    cost = cost_matrix(cloud(70, 64, rng, 0.2), cloud(100, 64, rng, 0.2), "euclidean")
    assert -1e-9 < ipot_cost(cost) - transport_cost(cost) < 1e-3


def test_fixed_size_cost_does_not_depend_on_the_number_of_points() -> None:
    rng = np.random.default_rng(8)
    references = cloud(100, 32, rng, 0.3)
    plain, fixed = {}, {}
    for points in (20, 160):
        costs = [cost_matrix(cloud(points, 32, rng, 0.3), references) for _ in range(80)]
        plain[points] = np.mean([transport_cost(cost) for cost in costs])
        fixed[points] = np.mean([fixed_size_cost(cost, 16, rng) for cost in costs])
    assert plain[20] - plain[160] > 0.05  # the bias it is there to remove
    assert abs(fixed[20] - fixed[160]) < 0.01
    assert abs(fixed[20] - fixed[160]) < 0.1 * (plain[20] - plain[160])


def test_fixed_size_cost_at_full_size_is_the_transport_cost() -> None:
    cost = np.random.default_rng(9).random((16, 30))
    assert fixed_size_cost(cost, 16, np.random.default_rng(0)) == pytest.approx(transport_cost(cost), abs=1e-12)


def test_fixed_size_cost_averages_the_groups_it_cuts() -> None:
    cost = np.random.default_rng(10).random((7, 5))
    order = np.random.default_rng(0).permutation(7)
    groups = [order[0:3], order[3:6]]  # the seventh point makes no group
    expected = np.mean([transport_cost(cost[group]) for group in groups])
    assert fixed_size_cost(cost, 3, np.random.default_rng(0)) == pytest.approx(expected, abs=1e-12)


def test_fixed_size_cost_compares_at_most_so_many_groups() -> None:
    cost = np.random.default_rng(11).random((100, 5))
    order = np.random.default_rng(0).permutation(100)
    expected = np.mean([transport_cost(cost[order[4 * i : 4 * i + 4]]) for i in range(2)])
    assert fixed_size_cost(cost, 4, np.random.default_rng(0), most_groups=2) == pytest.approx(expected, abs=1e-12)


def test_fixed_size_cost_repeats_the_points_of_a_small_cloud() -> None:
    cost = np.random.default_rng(12).random((4, 9))
    assert fixed_size_cost(cost, 16, np.random.default_rng(0)) == pytest.approx(transport_cost(cost), abs=1e-12)


def test_fixed_size_cost_is_the_same_for_equal_generators() -> None:
    cost = np.random.default_rng(13).random((50, 20))
    assert fixed_size_cost(cost, 16, np.random.default_rng(1)) == fixed_size_cost(cost, 16, np.random.default_rng(1))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_an_empty_or_flat_cost_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as refusal:
        transport_cost(np.zeros(shape))
    expected = f"A cost matrix of shape {shape}: it must be (source points, target points), none empty."
    assert str(refusal.value) == expected


def test_masses_that_do_not_fit_the_costs_are_refused_with_all_three_sizes() -> None:
    with pytest.raises(ShapeError) as refusal:
        transport_cost(np.zeros((2, 3)), np.full(3, 1 / 3), np.full(2, 1 / 2))
    assert str(refusal.value) == "A cost matrix of shape (2, 3) for masses of lengths 3 and 2."


def test_points_of_unequal_dimensions_are_refused_with_both_shapes() -> None:
    with pytest.raises(ShapeError) as refusal:
        cost_matrix(np.zeros((2, 3)), np.zeros((4, 5)))
    assert str(refusal.value) == "Points of shapes (2, 3) and (4, 5): both must be (points, same dimensions)."
