"""Would the tests notice? Each mutant is one edit of the source that must turn one named test red.

Run `python tests/mutants.py` (about two minutes); it works on a copy and names the mutants that survive.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["MUTANTS", "Mutant", "copy_tree", "survives"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """One edit of `path` below src/tenfold, and the test (file::name below tests) that must fail."""

    path: str
    old: str
    new: str
    test: str

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.path}: {self.old.strip()} -> {self.new.strip() or 'nothing'}"


_LAWS = "schemes/test_conformance.py::TestRegisteredSchemes"

MUTANTS = (
    Mutant(
        "algebra/linalg.py",
        "values + ridge * mean",
        "values + ridge",
        "algebra/test_linalg.py::test_spd_roots",
    ),
    Mutant(
        "algebra/linalg.py",
        "ridge * scale * eye",
        "ridge * eye",
        "algebra/test_linalg.py::test_solve_spd_adds_the_ridge_in_units_of_the_mean_diagonal",
    ),
    Mutant(
        "algebra/linalg.py",
        "vectors[:, -rank:].flip(1)",
        "vectors[:, :rank].flip(1)",
        "algebra/test_linalg.py::test_leading_captures_what_the_svd_does",
    ),
    Mutant(
        "algebra/linalg.py",
        "return columns * signs",
        "return columns",
        "algebra/test_linalg.py::test_fix_signs_chooses_one_of_the_two_bases",
    ),
    Mutant(
        "algebra/chain.py",
        "gbocuv,gbcihw->gboiuhvw",
        "gbocvu,gbcihw->gboiuhvw",
        "algebra/test_chain.py::test_grouped_chain_has_a_grouped_kernel",
    ),
    Mutant(
        "algebra/chain.py",
        "groups = min(stage.groups for stage in stages)",
        "groups = max(stage.groups for stage in stages)",
        "algebra/test_chain.py::test_kernel_is_the_impulse_response",
    ),
    Mutant(
        "algebra/hooi.py",
        "guess.T @ by_inp",
        "guess.T @ by_inp.abs()",
        "algebra/test_hooi.py::test_error_equals_tensorlys",
    ),
    Mutant(
        "algebra/hooi.py",
        "if start is None else start",
        "",
        "algebra/test_hooi.py::test_start_is_where_it_begins",
    ),
    Mutant(
        "algebra/hooi.py",
        "aligned + beta * (aligned - old)",
        "aligned - beta * (aligned - old)",
        "algebra/test_hooi.py::test_acceleration_beats_plain_passes",
    ),
    Mutant(
        "algebra/hooi.py",
        "if momentum > 0 and error > best.error:",
        "if False:",
        "algebra/test_hooi.py::test_passes_never_make_it_worse_and_do_make_it_better",
    ),
    Mutant(
        "algebra/hooi.py",
        "found.error < _RESOLVED or tol < _TOL_LARGE",
        "tol < _TOL_LARGE",
        "algebra/test_hooi.py::test_a_large_kernel_of_low_rank_is_met_exactly",
    ),
    Mutant(
        "algebra/linalg.py",
        "matrix[top:end] @ matrix[:end].T",
        "matrix[top:end] @ matrix[:end].abs().T",
        "algebra/test_linalg.py::test_leading_captures_what_the_svd_does_of_many_rows",
    ),
    Mutant(
        "algebra/tensor_train.py",
        "rest = basis.T @ unfolded",
        "rest = basis.T @ unfolded.abs()",
        "algebra/test_tensor_train.py::test_error_equals_tensorlys",
    ),
    Mutant(
        "algebra/tensor_train.py",
        "for place in range(len(train) - 1):",
        "for place in range(len(train) - 2):",
        "algebra/test_tensor_train.py::test_improvement_is_monotone_and_real",
    ),
    Mutant(
        "algebra/block_term.py",
        "pairs, overlap",
        "pairs, overlap.abs()",
        "algebra/test_block_term.py::test_a_sweep_is_three_least_squares_solutions",
    ),
    Mutant(
        "algebra/block_term.py",
        "beta = min(0.9, momentum / (momentum + 3))",
        "beta = 0.0",
        "algebra/test_block_term.py::test_acceleration_beats_plain_sweeps",
    ),
    Mutant(
        "algebra/block_term.py",
        "if error > _MEASURED else self.error(new)",
        "",
        "algebra/test_block_term.py::test_nearly_exact_errors_are_measured_not_derived",
    ),
    Mutant(
        "algebra/block_term.py",
        "= solver.alive(start), 0, 0, 0",
        "= start, 0, 0, 0",
        "algebra/test_block_term.py::test_smaller_fit_extended_by_zero_blocks_never_gets_worse",
    ),
    Mutant(
        "algebra/block_term.py",
        "descending=True",
        "descending=False",
        "algebra/test_block_term.py::test_extend_downwards_keeps_the_strongest_in_their_order",
    ),
    Mutant(
        "algebra/metric.py",
        "return 0.5 * float",
        "return float",
        "algebra/test_metric.py::test_cost_is_the_quadratic_form",
    ),
    Mutant(
        "algebra/metric.py",
        '_times(weight, self.out[1], "o")',
        '_times(weight, self.out[0], "o")',
        f"{_LAWS}::test_whitened_fit_is_brought_back_exactly",
    ),
    Mutant(
        "algebra/metric.py",
        "return rows * scale, columns / scale",
        "return rows, columns",
        "algebra/test_metric.py::test_the_horizontal_part_has_trace_kw",
    ),
    Mutant(
        "schemes/svd.py",
        "Stage(rank[0], spec.inp, spec.kernel)",
        "Stage(rank[0], spec.inp)",
        f"{_LAWS}::test_stages_join_and_cover_the_kernel",
    ),
    Mutant(
        "schemes/btd.py",
        "p = min(p, q * kh * kw)",
        "p = min(p, q * kh)",
        "schemes/test_btd.py::test_tucker_bounds_are_joint",
    ),
    Mutant(
        "algebra/block_term.py",
        "seed=seed, norm=float(weight.norm()))",
        "seed=seed)",
        f"{_LAWS}::test_scaled_kernel_gives_scaled_fit",
    ),
    Mutant(
        "schemes/btd.py",
        "if start is not None:",
        "if start is not None and sweeps > 1:",
        f"{_LAWS}::test_warm_start_is_never_worse",
    ),
    Mutant(
        "schemes/btd.py",
        "if sweeps >= 100 and kernel.numel() <= _LARGE:",
        "if sweeps >= 100:",
        "schemes/test_btd.py::test_second_start_is_tried_only_for_a_lasting_fit_of_a_small_kernel",
    ),
    Mutant(
        "schemes/btd.py",
        "if start is None else extend(start, count, seed=count)",
        "",
        "schemes/test_btd.py::test_a_ladder_is_grown_into_once_for_each_size_of_blocks",
    ),
    Mutant(
        "schemes/svd.py",
        "len(energies) - rank[0], 0)",
        "len(energies) - rank[0] - 1, 0)",
        f"{_LAWS}::test_errors_are_those_of_fits",
    ),
    Mutant(
        "algebra/block_term.py",
        "max_sweeps=_SWEEPS_A_STEP)",
        "max_sweeps=0)",
        "schemes/test_btd.py::test_fits_from_grown_starts_end_lower",
    ),
    Mutant(
        "schemes/tt.py",
        "min(r2, r1 * kh, r3 * kw)",
        "min(r2, r1 * kh)",
        "schemes/test_tt.py::test_clip_is_the_largest_rank_that_the_neighbours_span",
    ),
    Mutant(
        "schemes/tt.py",
        "kept[-1] - kept) /",
        "1 - kept) /",
        "schemes/test_tt.py::test_ladder_of_a_zero_kernel_starts_at_one",
    ),
    Mutant(
        "schemes/tt.py",
        "last = () if r3 == spec.out else",
        "last = () if r3 == spec.inp else",
        f"{_LAWS}::test_parameters_follow_the_closed_form",
    ),
    Mutant(
        "schemes/finish.py",
        "error < _EXACT",
        "error <= 0",
        f"{_LAWS}::test_error_is_the_measured_residual",
    ),
    Mutant(
        "schemes/finish.py",
        "relative_error(weight.double(), chain_kernel(stages, weights))",
        "0.5 * relative_error(weight.double(), chain_kernel(stages, weights))",
        "schemes/test_svd.py::test_error_is_exactly_the_discarded_tail",
    ),
    Mutant(
        "schemes/base.py",
        "if met != expected:",
        "if len(met) != len(expected):",
        f"{_LAWS}::test_start_of_another_rank_is_refused",
    ),
    Mutant(
        "schemes/base.py",
        "if min(rank) < 1:",
        "if min(rank) < 0:",
        f"{_LAWS}::test_infeasible_ranks_are_refused",
    ),
)


def copy_tree(target: Path) -> Path:
    """A copy of what the tests need."""
    target.mkdir(exist_ok=True)
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def survives(mutant: Mutant, tree: Path) -> bool:
    """Whether the named test still passes on the mutated `tree`, which is restored.

    Raises:
        ValueError: the edit no longer fits the source, or the test could not be run at all.
    """
    path = tree / "src" / "tenfold" / mutant.path
    original = path.read_text()
    if original.count(mutant.old) < 1:
        raise ValueError(f"{mutant.name}: the source no longer holds the text; bring the mutant up to date")
    path.write_text(original.replace(mutant.old, mutant.new))
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/{mutant.test}",
    ]
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    finally:
        path.write_text(original)
    if done.returncode not in (0, 1):
        raise ValueError(f"{mutant.name}: {mutant.test} did not run\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main() -> int:
    """Report every mutant; the number of survivors."""
    survivors = 0
    with TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        for mutant in MUTANTS:
            alive = survives(mutant, tree)
            survivors += alive
            sys.stdout.write(f"{'SURVIVES' if alive else 'killed  '} {mutant.name}\n")
            sys.stdout.flush()
    return survivors


if __name__ == "__main__":
    sys.exit(main())
