import os
import time

import pytest
from benchmarks.overhead import covered, overhead

from cxrflow.durations import rule_durations, spoken
from cxrflow.last_words import failed, finished

HEADER = "s\th:m:s\tcpu_time\n"


@pytest.fixture
def results(tmp_path):
    """The benchmarks of four jobs of three rules, one of them from long ago."""
    for name, seconds in {
        "demo/neural_train_gnn_0": 70, "demo/neural_train_gnn_1": 50, "demo/cohort_split": 5, "write_config": 1,
    }.items():  # fmt: skip
        file = tmp_path / f"benchmarks/{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{HEADER}{seconds}.0\t0:00:01\t2\n")
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_jobs_count_for_their_rule_whatever_their_wildcards(results):
    durations = rule_durations(results / "benchmarks")
    assert durations.seconds == {"neural_train_gnn": 120, "cohort_split": 5, "write_config": 1}
    assert (durations.jobs, durations.total) == (4, 126)
    assert durations.slowest(2) == [("neural_train_gnn", 2, 120), ("cohort_split", 1, 5)]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "1 h 0 min"), (4260, "1 h 11 min")]
)
def test_durations_as_people_say_them(seconds, said):
    assert spoken(seconds) == said


def test_the_summary_tells_what_ran_the_slowest_first_and_where_to_look(results):
    (results / "demo/neural").mkdir(parents=True)
    (results / "demo/neural/auc_vs_kept.png").touch()
    lines = finished(results, 0).splitlines()
    assert "4 jobs of 3 rules ran; the slowest:" in lines
    slowest = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0].count("_")]
    assert slowest[:3] == ["neural_train_gnn", "cohort_split", "write_config"]
    assert f"  {results}/demo/neural/auc_vs_kept.png" in lines


def test_what_ran_before_is_not_told_again(results):
    assert "Nothing had to run" in finished(results, time.time() + 60)


def test_a_failure_shows_the_end_of_its_log_and_the_command_to_go_on(results):
    (results / "logs/good.log").write_text("10:00:00 INFO all is well\n")
    (results / "logs/bad.log").write_text(
        "10:00:00 INFO begun\n10:00:01 ERROR The table is missing.\nHint: unpack it.\n"
    )
    told = failed(results, 0, ["/venv/bin/snakemake", "--cores", "2", "--config", "a=[b, c]"])
    assert f"{results}/logs/bad.log ends:\n  10:00:01 ERROR The table is missing.\n  Hint: unpack it.\n" in told
    assert "good.log" not in told
    assert told.endswith("  snakemake --cores 2 --config 'a=[b, c]'")


def test_of_a_long_error_the_last_lines_are_shown(results):
    lines = ["10:00:01 ERROR The script failed.", *(f"line {number}" for number in range(100))]
    (results / "logs/bad.log").write_text("\n".join(lines))
    told = failed(results, 0, ["snakemake"])
    assert "ERROR The script failed." in told
    assert "line 99" in told
    assert "line 50" not in told


def test_the_overhead_is_the_time_in_which_no_rule_worked(tmp_path):
    started = time.mktime((2026, 1, 2, 3, 0, 0, 0, 0, -1))
    for name in ("2026-01-02T030000.5", "2026-01-02T040000.5"):  # in the second nothing had to be made
        log = tmp_path / f".snakemake/log/{name}.snakemake.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    for name, end, seconds in [("first", 60, 50), ("beside", 40, 25), ("last", 100, 30)]:
        file = tmp_path / f"results/benchmarks/{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{HEADER}{seconds}.0\t0:00:01\t2\n")
        os.utime(file, (started + end, started + end))
    told = overhead(tmp_path, 2)
    assert "(3 jobs) took 100 s" in told
    assert "no rule worked in 20.0% of it" in told
    assert "1.05 jobs at once" in told
    assert "make demo" in overhead(tmp_path / "nowhere", 2)


def test_spans_that_overlap_are_covered_once():
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.7)]) == 4
