"""Methods compared on a user's own model and data."""

import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.comparison.checks import check_fit_arguments
from keras_mtl.comparison.checks import checked_methods
from keras_mtl.comparison.checks import checked_preferences
from keras_mtl.comparison.checks import checked_tasks
from keras_mtl.comparison.checks import described_data
from keras_mtl.comparison.method_arguments import Given
from keras_mtl.comparison.method_arguments import said
from keras_mtl.comparison.progress import Progress
from keras_mtl.comparison.records import Record
from keras_mtl.comparison.records import Records
from keras_mtl.comparison.run import Run
from keras_mtl.comparison.score import Score
from keras_mtl.comparison.table import table
from keras_mtl.comparison.trial import Trial
from keras_mtl.comparison.trials import Trials
from keras_mtl.comparison.work import Work
from keras_mtl.pareto.plot_front import plot_front
from keras_mtl.pareto.plot_pairwise import plot_pairwise
from keras_mtl.pareto.points import Points
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import optional_path

# Of fit's arguments, those that change no number.
SILENT = ("verbose", "callbacks")


class Comparison:
    """Tunes each method, and tests the best settings of each with new seeds.

    Every method gets as many trials as the others: Optuna suggests settings,
    and the mean of the metrics on validation data, at the best epoch, says
    which are best. With those and new seeds models are trained that are judged
    once, on test data. `table` says of each method whether it is better than
    the first one, or whether that cannot be told.

    All is kept in `directory`. A process that is killed, even by `kill -9`,
    can be started again: finished runs stay and a trial that was interrupted
    is repeated with its settings. Several processes may work on one directory,
    and share the runs among them.

    Args:
        build: Function from a `Trial` to a compiled model. It makes the model,
            asks the trial for settings such as `trial.suggest_float(
            "learning_rate", 1e-4, 1e-1, log=True)`, and passes
            `**trial.compile_arguments` to `compile`. Where a method is more
            than arguments of `compile`, it looks at `trial.method`.
        methods: Dict from names to dicts of arguments of `compile`. In place
            of a dict, a function to such a dict from a preference, a dict of
            numbers by task that add up to one: such methods can draw a front.
            The first method is the baseline.
        metrics: Dict from the names that `evaluate` returns to `"max"` or
            `"min"`, which way is better.
        directory: Where runs are kept. It may be moved.
        tasks: Names of the tasks, for methods that are functions of a
            preference. Preferences are equal where no front is drawn.
        score: Function from a dict of metrics to a float, the larger the
            better, that settings and epochs are chosen by. Defaults to the
            mean of the metrics, which must then have one direction.
        storage: Optuna storage, or its URL. Defaults to a file of SQLite in
            `directory`. `optuna-dashboard` shows it.
        sampler: Function from `seed=` to an Optuna sampler, such as
            `optuna.samplers.RandomSampler`. Defaults to `TPESampler`.
        pruner: Optuna pruner, such as `optuna.pruners.MedianPruner()`, which
            stops trials that are behind others of the same method. Defaults to
            none: methods that learn slowly at first lose by it.
        seed: int, of what is suggested, and of trials. Tests have the seeds
            after it.

    Raises:
        ImportError: If Optuna or filelock is not installed: `pip install
            'keras_mtl[comparison]'`.

    Example:

    ```python
    def build(trial):
        model = make_model()  # a `keras_mtl.MultiTaskModel`
        rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
        model.compile(
            keras.optimizers.Adam(rate),
            loss={"left": "mse", "right": "mse"},
            metrics={"left": ["mae"], "right": ["mae"]},
            **trial.compile_arguments,
        )
        return model

    comparison = keras_mtl.comparison.Comparison(
        build,
        methods={
            "sum": lambda weights: {"loss_weights": weights},
            "pcgrad": {"aggregator": "pcgrad"},
        },
        metrics={"left_mae": "min", "right_mae": "min"},
        directory="results/comparison",
        tasks=["left", "right"],
    )
    comparison.run(train, validation, test, trials=20, seeds=5, epochs=10)
    print(comparison.table())
    comparison.plot_front("front.png")
    ```
    """

    def __init__(
        self,
        build: Callable[[Trial], keras.Model],
        methods: Mapping[str, Given],
        metrics: Mapping[str, str],
        directory: str | os.PathLike,
        *,
        tasks: Sequence[str] | None = None,
        score: Callable[[dict[str, float]], float] | None = None,
        storage: Any = None,
        sampler: Callable[..., Any] | None = None,
        pruner: Any = None,
        seed: int = 0,
    ):
        if not callable(build):
            raise ValueError(
                "`build` must be a function from a trial to a compiled model. "
                f"Received: build={build!r}"
            )
        self.build = build
        self.tasks = checked_tasks(tasks, methods)
        self.methods = checked_methods(methods, self.tasks)
        self.score = Score(metrics, score)
        folder = optional_path("directory", directory)
        if folder is None:
            raise ValueError("`directory` must be a folder. Received: None")
        self.seed = integer_from(0, "seed", seed)
        self.records = Records(folder)
        trials = Trials(self.records, storage, sampler, pruner, self.seed)
        self._work = Work(self.methods, self.records, trials, self.seed)

    def run(
        self,
        train: Any,
        validation: Any,
        test: Any,
        *,
        trials: int = 20,
        seeds: int = 3,
        preferences: Iterable[Any] = (),
        verbose: int | str = "auto",
        **fit_arguments: Any,
    ) -> None:
        """Trains what is not trained yet, and waits for what others train.

        Args:
            train: Training data: a tuple `(x, y)` or `(x, y, sample_weight)`,
                a `tf.data.Dataset`, or what else `fit` takes that can be read
                again for every model.
            validation: Validation data, that settings and epochs are chosen
                by.
            test: Test data.
            trials: int, for each method. More of them go on where fewer ended.
            seeds: int, how many models are tested for each method.
            preferences: Dicts from names of tasks to numbers from 0 up, or
                rows of such numbers in the order of `tasks`. Along each of
                them a model is trained with each seed, for methods that are
                functions of a preference. They are scaled to add up to one.
            verbose: 0 for silence, 1 for a progress bar, 2 for a line a run;
                `"auto"` is 1 on a terminal and 2 elsewhere.
            **fit_arguments: Of `fit`, such as `epochs` and `batch_size`.
                `callbacks` is a function from a `Trial` to a list, for each
                model needs its own.

        Raises:
            ValueError: If `directory` has runs of another comparison: with
                other metrics, scores, shapes of data, or arguments; or if all
                trials of a method diverged.
        """
        trials = integer_from(1, "trials", trials)
        seeds = integer_from(1, "seeds", seeds)
        preferences = checked_preferences(preferences, self.tasks)
        check_fit_arguments(fit_arguments)
        data = {"train": train, "validation": validation, "test": test}
        self.records.check_setup(self._setup(data, fit_arguments), trials)
        self.records.check_scores(self.score)
        run = Run(self.build, self.score, **data, fit_arguments=fit_arguments)
        work = self._work
        tests = work.tests(seeds, preferences)
        total = trials * len(self.methods) + len(tests)
        progress = Progress(total, verbose, work.count)
        work.tune(run, progress)
        work.test(run, tests, progress)

    def results(self) -> Points:
        """A point for each model that was judged on test data.

        Returns:
            `keras_mtl.pareto.Points`. The `rows` are what is known of each
            run: `method`, `seed`, `preference`, `parameters`, `validation`,
            `test` and more.
        """
        rows = [row for row in self._work.tested() if "test" in row]
        if not rows:
            raise ValueError(
                f"'{self.records.folder}' has no model that was tested. Call "
                "`run` first"
            )
        names = list(self.score.metrics)
        values = [[row["test"][name] for name in names] for row in rows]
        better = [self.score.maximize[name] for name in names]
        return Points(values, names, better, rows)

    def table(self, level: float = 0.95) -> str:
        """Test metrics of all methods, and which are better than the first.

        Each is compared with the first one seed by seed, with Student's
        interval of the mean difference of their scores. The more methods there
        are, the wider it is (Bonferroni), so that all of them hold together
        with probability `level`. It is of seeds, at the settings chosen: that
        other trials could have chosen better ones is not in it.

        Args:
            level: float, above 0 and below 1.

        Returns:
            str, a table in Markdown.
        """
        rows = [row for row in self._work.tested() if row["preference"] is None]
        return table(rows, self.score.metrics, list(self.methods), level)

    def plot_front(self, path: str | os.PathLike | None = None) -> Any:
        """Draws the test metrics of all methods, with their fronts.

        Each method has a point, the mean over its seeds; and one for each of
        the `preferences` of `run`, if it is a function of them. More than two
        metrics are drawn pair by pair.

        Args:
            path: Where to write the figure, or `None`.

        Returns:
            The `matplotlib.figure.Figure`.
        """
        if len(self.score.metrics) < 2:
            raise ValueError(
                "A front is of two metrics or more; `table` has one as well. "
                f"Received: metrics={self.score.metrics}"
            )
        fronts = {}
        for method, points in self.results().by("method").items():
            groups = points.by("preference")
            means = [group.values.mean(axis=0) for group in groups.values()]
            fronts[method] = Points(means, points.tasks, points.maximize)
        draw = plot_front if len(self.score.metrics) == 2 else plot_pairwise
        return draw(fronts, path=path)

    def _setup(self, data: Record, fit_arguments: dict[str, Any]) -> Record:
        """What runs must have in common to be compared."""
        given = {
            f"fit: {key}": said(value)
            for key, value in sorted(fit_arguments.items())
            if key not in SILENT
        }
        described = {
            f"method: {name}": arguments.describe()
            for name, arguments in self.methods.items()
        }
        return {
            "metrics": self.score.metrics,
            "tasks": list(self.tasks),
            "seed": self.seed,
            **described,
            **{
                f"data: {name}": described_data(name, data[name])
                for name in data
            },
            **given,
        }
