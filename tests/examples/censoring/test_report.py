"""Tables and figures of results made up."""

import json

import pytest
from absl import app

from examples.censoring import report

EXPERIMENTS = {e.name: e for e in report.EXPERIMENTS}
REGRESSION = EXPERIMENTS["regression"]


def rows():
    found = []

    def add(method, weight, task, values, smoothing=1.0):
        for seed, value in enumerate(values):
            setting = {
                "method": method,
                "weight": weight,
                "granularity": "model",
                "smoothing": smoothing,
            }
            config = {"setting": setting, "task": task, "seed": seed}
            found.append({"config": config, "test_loss": value})

    add("single_task", 0.0, "", [0.46, 0.48])
    for weight, shift in ((0.1, 0.0), (3.0, 0.01)):
        add("multi_task", weight, "same", [0.44 + shift, 0.42, 0.43])
        values = [0.34 + shift, 0.32, 0.33]
        add("projection", weight, "same", values, 0.01)
    return found


def test_tables_hold_means_and_the_papers_numbers():
    results = report.load(rows(), "test_loss")
    lines = report.table(REGRESSION, results).splitlines()
    assert len(lines) == 2 + 1 + 2 + 2
    assert lines[2] == (
        "| single task | model | 1 |  | 0 | 2 | 0.4700 ± 0.0100 | 0.4473 | "
        "+0.0227 |"
    )
    last = (
        "| projection | model | 0.01 | same | 3 | 3 | 0.3333 ± 0.0088 | "
        "0.4102 | -0.0769 |"
    )
    assert lines[-1] == last


def test_peaks_choose_the_best_weight():
    results = report.load(rows(), "test_loss")
    lines = report.peaks(REGRESSION, results).splitlines()
    assert lines[3].startswith("| multi-task | model | 1 | same | 0.1 | 0.43")
    # All of three runs are better than all of three: one in twenty.
    assert lines[4].endswith("| 0.1 | 0.3300 ± 0.0058 | 0.05 |")


@pytest.mark.parametrize("name", ["regression", "celeba"])
def test_a_weight_that_diverged_is_not_the_best(name):
    nan = float("nan")
    runs = {1.0: {0: nan}, 3.0: {0: 0.5}, 10.0: {0: nan}}
    assert report.best(EXPERIMENTS[name], runs) == (3.0, {0: 0.5})


def test_agreement_counts_settings_that_the_paper_has():
    # Standard errors apart: multi-task 1.5 and 1.0, projection more than 8.
    # The single task has two runs only.
    results = report.load(rows(), "test_loss")
    assert "2 of 4 settings" in report.agreement(REGRESSION, results)


def test_agreement_says_nothing_of_too_few_runs():
    few = [row for row in rows() if row["config"]["seed"] < 2]
    results = report.load(few, "test_loss")
    assert report.agreement(REGRESSION, results) == ""


def test_writes_what_there_is(tmp_path):
    lines = "\n".join(json.dumps(row) for row in rows())
    (tmp_path / "regression.jsonl").write_text(lines)
    (tmp_path / "imdb-limit50.jsonl").write_text("{}")
    text = report.report(tmp_path)
    assert "synthetic regression" in text
    assert text.endswith("Not shown: imdb-limit50.jsonl")
    assert (tmp_path / "regression.md").stat().st_size > 500
    assert (tmp_path / "regression.png").stat().st_size > 10_000
    assert not (tmp_path / "imdb.md").exists()


def test_a_stand_in_is_not_held_against_the_paper(tmp_path):
    stand_in = EXPERIMENTS["celeba_stand_in"]
    settings = [
        {"method": method, "weight": weight}
        for method, weight in (("single_task", 0.0), ("multi_task", 300.0))
    ]
    lines = [
        json.dumps({"config": {"setting": s, "seed": 0}, "test_auc": 0.7})
        for s in settings
    ]
    (tmp_path / "celeba_stand_in.jsonl").write_text("\n".join(lines))
    text = report.write_report(stand_in, tmp_path)
    assert "| 0.7000 |  |  |" in text
    assert "the paper" not in text


def test_both_measures_of_one_file_are_shown(tmp_path):
    setting = {"method": "single_task", "weight": 0.0}
    row = {
        "config": {"setting": setting, "seed": 0},
        "test_accuracy": 0.87,
        "last_batch_accuracy": 0.86,
    }
    (tmp_path / "conll.jsonl").write_text(json.dumps(row))
    text = report.report(tmp_path)
    assert "| 0.8600 | 0.8578 | +0.0022 |" in text
    assert "| 0.8700 |  |  |" in text
    assert "Not shown" not in text


def test_figures_have_a_row_for_each_smoothing_of_their_rules():
    keys = [
        ("multi_task", "model", 1.0),
        ("projection", "model", 0.1),
        ("projection", "model", 0.01),
        ("projection", "variable", 1.0),
        ("orthogonal", "model", 1.0),
    ]
    results = {key: {} for key in keys}
    main, every = report.MAIN_NAMES, tuple(report.LABELS)
    assert report.shown_smoothings(results, main, "model") == [0.1, 0.01]
    assert report.shown_smoothings(results, main, "variable") == [1.0]
    assert report.shown_smoothings(results, every, "model") == [1.0]


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(app.UsageError, match="holds no results"):
        report.report(tmp_path)


def test_points_of_the_paper_fit_the_weights():
    for experiment in report.EXPERIMENTS:
        for panels in experiment.points.values():
            for points in panels.values():
                assert len(points) in (1, len(experiment.weights))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
