"""A Keras model that arbitrates between the gradients of its tasks."""

import contextlib
import functools
import inspect
import math
import numbers
import weakref
from collections.abc import Iterator
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras

from keras_mtl import aggregators
from keras_mtl import weightings
from keras_mtl.backend.replicas import num_replicas
from keras_mtl.backend.train_step import TrainStep
from keras_mtl.backend.variable_creation import lifted
from keras_mtl.gradients.gram import group_variables
from keras_mtl.gradients.gram import norms_of
from keras_mtl.gradients.gram import scaled_gram
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.gradients.gram import total
from keras_mtl.labels.class_weights import Judged
from keras_mtl.labels.class_weights import check_labels
from keras_mtl.labels.class_weights import is_per_task
from keras_mtl.labels.class_weights import validate_class_weight
from keras_mtl.labels.class_weights import with_class_weight
from keras_mtl.labels.label_structure import refuse_other_structure
from keras_mtl.labels.label_structure import warn_of_sorted_names
from keras_mtl.labels.missing_labels import missing_label_of
from keras_mtl.labels.missing_labels import validate_missing_label
from keras_mtl.labels.string_labels import labels_given
from keras_mtl.labels.string_labels import refuse_string_labels
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.registry import serialize_method
from keras_mtl.saving.auxiliary_clones import check_is_cloned
from keras_mtl.saving.auxiliary_clones import clone_auxiliaries
from keras_mtl.saving.auxiliary_clones import is_clone_function
from keras_mtl.saving.auxiliary_clones import waiting_auxiliaries
from keras_mtl.saving.auxiliary_weights import as_weights_file
from keras_mtl.saving.auxiliary_weights import lacks_auxiliaries
from keras_mtl.saving.auxiliary_weights import warn_of_missing
from keras_mtl.saving.legacy_h5 import check_legacy_config
from keras_mtl.saving.legacy_h5 import check_legacy_path
from keras_mtl.saving.method_state import MethodState
from keras_mtl.solvers.matrices import in_units
from keras_mtl.trainers.column_heads import column_heads
from keras_mtl.trainers.combine import Combined
from keras_mtl.trainers.combine import combine
from keras_mtl.trainers.epoch_ends import with_epoch_ends
from keras_mtl.trainers.gradient_conflict import GradientConflict
from keras_mtl.trainers.late_variables import check_optimizer_knows
from keras_mtl.trainers.not_finite import NotFinite
from keras_mtl.trainers.not_finite import all_finite
from keras_mtl.trainers.not_finite import tell_of_not_finite
from keras_mtl.trainers.nothing_shared import accept_frozen
from keras_mtl.trainers.nothing_shared import check_tasks
from keras_mtl.trainers.nothing_shared import frozen_variables
from keras_mtl.trainers.nothing_shared import last_shared_places
from keras_mtl.trainers.nothing_shared import positions_of
from keras_mtl.trainers.nothing_shared import shared_places
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.trainers.objectives import make_objectives
from keras_mtl.trainers.taken_step import is_taken
from keras_mtl.trainers.taps import tap
from keras_mtl.trainers.task_entries import refuse_tasks
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.trainers.task_metrics import TaskMetrics
from keras_mtl.trainers.whole_batch_mean import WholeBatchMean
from keras_mtl.utils.argument_validation import refuse_compile_arguments
from keras_mtl.utils.by_output import WITH_LABELS
from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.by_output import check_nested_entries
from keras_mtl.utils.by_output import labels_by_output
from keras_mtl.utils.by_output import names_in
from keras_mtl.utils.by_output import spread_by_output
from keras_mtl.utils.did_you_mean import naming_arguments
from keras_mtl.utils.did_you_mean import refuse_unknown_arguments
from keras_mtl.utils.did_you_mean import refuse_unknown_identifier
from keras_mtl.utils.graph import find_operation
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.keras_internals import DotNotTrackScope
from keras_mtl.utils.keras_internals import Functional
from keras_mtl.utils.keras_internals import compute_output_spec
from keras_mtl.utils.keras_internals import unscale_loss_for_distribution
from keras_mtl.utils.stock_docs import like_keras

Tensor = Any


class MultiTaskModel(TrainStep, keras.Model):
    """A `keras.Model` whose training step combines task gradients.

    Use it as `keras.Model`: with `inputs` and `outputs`, or as a base class.
    A task is one entry of `loss` in `compile`. With an `aggregator`, `fit`
    takes the gradient of every task from one forward pass, and the aggregator
    makes one gradient of them for the variables that tasks share. Variables
    that one task alone reaches keep their gradient, and so does what belongs
    to no task (regularisers, `add_loss`).

    Everything else is `keras.Model`: callbacks, metrics, saving, `predict`.
    With `aggregator=None` and `weighting=None` it trains as stock Keras does.
    Otherwise logs have two names more: of several losses on one output each is
    a task of its own (`b_mse_loss`, where Keras shows `b_loss`), and an
    aggregator adds the metric `gradient_conflict`.

    On TensorFlow a logged task loss is the plain mean over batches, as in stock
    Keras: with a small last batch, task losses do not add up to `loss`, which
    counts examples, and early stopping on one is biased. Monitor a metric of
    the output, or drop the remainder; either needs a `mode`, as in
    `EarlyStopping("val_angle_loss", mode="min")`. With `missing_label`, and on
    JAX, task losses count examples.

    A `compute_loss` of your own may add to what `super().compute_loss` returns;
    what it adds belongs to no task. It may not scale it: use `loss_weights`.

    Example:

    ```python
    inputs = keras.Input((32,))
    shared = keras.layers.Dense(64, activation="relu", name="shared")(inputs)
    model = keras_mtl.MultiTaskModel(
        inputs,
        {
            "digit": keras.layers.Dense(10, name="digit")(shared),
            "angle": keras.layers.Dense(1, name="angle")(shared),
        },
    )
    model.compile(
        "adam",
        loss={
            "digit": keras.losses.SparseCategoricalCrossentropy(True),
            "angle": "mse",
        },
        aggregator="pcgrad",
    )
    model.fit(x, {"digit": digits, "angle": angles})
    ```
    """

    # Training-only heads, set by `add_self_auxiliaries` and its like.
    auxiliaries = None

    def __new__(cls, *args: Any, **kwargs: Any) -> "MultiTaskModel":
        if cls is MultiTaskModel and _is_functional(args, kwargs):
            cls = FunctionalMultiTaskModel
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        refuse_compile_arguments("the constructor", kwargs)
        # First, because Keras reads `metrics` as it builds a functional model.
        self._reset_settings()
        if _is_functional(args, kwargs) and not isinstance(self, Functional):
            # Keras would turn all base classes functional, for good; then no
            # other subclass could be a subclassed model.
            cls = type(self)
            cls.__bases__ = (*cls.__bases__, Functional)
        super().__init__(*args, **kwargs)
        self.method_state = MethodState(name="method_state")

    # -- compile ------------------------------------------------------------

    @naming_arguments
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        *,
        aggregator: Any = None,
        weighting: Any = None,
        representation: Any = None,
        missing_label: Any = None,
    ) -> None:
        """Configures the model for training, as `keras.Model.compile`.

        Args:
            optimizer, loss, metrics, weighted_metrics, run_eagerly,
                steps_per_execution, jit_compile, auto_scale_loss: As for
                `keras.Model.compile`. The order of `loss` is the order of the
                tasks. Several losses on one output are several tasks; of
                those on the only output of a model stock Keras trains the
                first alone, and so does `aggregator=None`.
            loss_weights: Fixed task weights, numbers from 0 up. Negative ones
                only with nothing but what Keras has.
            aggregator: `keras_mtl.aggregators.Aggregator`, its name, or
                `None` for the sum of the losses, which is stock Keras. It acts
                before the optimizer clips or accumulates: with
                `gradient_accumulation_steps`, the gradients of single batches
                are combined, then averaged. Under `tf.distribute` it sees the
                gradients of the whole batch.
            weighting: `keras_mtl.weightings.Weighting`, its name, or `None`
                for the losses as they are.
            representation: A layer of the model, its name, or a tensor of a
                functional model, that everything the tasks share leads up to.
                Then the aggregator sees gradients there and not those of the
                shared variables, which saves all but one backward pass through
                them.
            missing_label: Value that stands for a missing label (`nan` or a
                number), or a dict from output names to such values. An
                example with no label gives its task no loss, no gradient and
                no metric: the loss is the mean over what is labelled, in the
                whole batch where `tf.distribute` splits it.

                Of a matrix `(batch_size, C)` of C targets, single entries may
                be missing. Keras' losses and metrics that judge each entry by
                itself (squared and absolute errors, Huber, log-cosh, hinge,
                Poisson, binary crossentropies, `AUC`, `Precision`, ...) are
                then means over all entries that are known; so are functions
                of your own that return one value an entry, of the shape of
                the prediction. All others (crossentropies of one-hot labels,
                cosine similarity, functions that return one value a row) take
                a row as a whole: all of it is missing, or none. A row that is
                missing in part is refused in arrays that are given to `fit`
                and its like, and makes the loss NaN elsewhere.

                A loss or metric of your own must return one value an example,
                at least, each of its own example only, and leave the mean over
                the batch to Keras. It sees 0 in place of a missing label.

        Raises:
            ValueError: If an argument does not fit the model or the others.
        """
        aggregator = aggregators.get(aggregator)
        weighting = weightings.get(weighting)
        tells_tasks = (aggregator, weighting, self.auxiliaries, missing_label)
        as_stock = all(part is None for part in tells_tasks)
        _validate_loss_weights(loss_weights, as_stock)
        if not as_stock:
            self._refuse_tasks(
                loss,
                loss_weights=loss_weights,
                metrics=metrics,
                weighted_metrics=weighted_metrics,
                missing_label=missing_label,
            )
        _validate_names_of_weights(loss_weights, loss)
        validate_missing_label(missing_label)
        self._validate_methods(loss, aggregator, weighting, representation)
        operation = None
        if representation is not None:
            operation = find_operation(self, representation)
        super().compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        output_names = getattr(self, "output_names", None)
        whole_labels = WholeLabels()
        if loss is not None:
            self._compile_loss = TaskLosses(
                loss,
                loss_weights,
                output_names,
                missing_label,
                as_stock=as_stock,
                whole_labels=whole_labels,
            )
        # Keras' own metrics are not tracked by the model either.
        with DotNotTrackScope():
            if self._compile_metrics is not None:
                self._compile_metrics = TaskMetrics(
                    metrics,
                    weighted_metrics,
                    output_names,
                    missing_label,
                    whole_labels,
                    as_stock,
                )
            if missing_label is not None and num_replicas() > 1:
                self._loss_tracker = WholeBatchMean(name="loss")
        self._reset_settings(
            aggregator=aggregator,
            weighting=weighting,
            representation=operation,
            missing_label=missing_label,
            whole_labels=whole_labels,
        )
        self._check_names_of_outputs(
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            missing_label=missing_label,
        )
        for method in (aggregator, weighting):
            self._claim(method)
        self._build_methods_early(loss, loss_weights, output_names)

    @property
    def aggregator(self) -> aggregators.Aggregator | None:
        """The aggregator that the model was compiled with."""
        return self._settings.aggregator

    @property
    def weighting(self) -> weightings.Weighting | None:
        """The weighting that the model was compiled with."""
        return self._settings.weighting

    @property
    def task_names(self) -> list[str] | None:
        """Names of the tasks in order; `None` until they are known.

        They are known from `compile` on for a functional model, and from the
        first batch on for a subclassed one.
        """
        return self._settings.task_names

    @property
    def missing_label(self) -> Any:
        """What stands for a missing label, as `compile` received it."""
        return self._settings.missing_label

    @property
    def gradient_conflict(self) -> GradientConflict | None:
        """The metric with the Gram matrix and the weights of the last step."""
        return self._settings.conflict

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        if not config:
            return config
        settings = self._settings
        operation = settings.representation
        own = {
            "aggregator": serialize_method(settings.aggregator),
            "weighting": serialize_method(settings.weighting),
            "representation": operation.name if operation else None,
            "missing_label": settings.missing_label,
            "task_names": settings.task_names,
        }
        if all(value is None for value in own.values()):
            # Stock Keras, whose models must be able to read it: `clone_model`
            # makes one of a subclass that has a constructor of its own.
            return config
        return {**config, **own}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        if type(self).compile is not MultiTaskModel.compile:
            # A `compile` of the user's own may take other arguments: Keras
            # warns, and leaves the model as it is.
            super().compile_from_config(config)
            return
        config = dict(config)
        task_names = config.pop("task_names", None)
        self.compile(**keras.saving.deserialize_keras_object(config))
        if task_names and self.built:
            # State must exist before it can be loaded.
            self._build_methods(task_names)
        if self.optimizer is not None and self.built and not self._awaits_tasks:
            self.optimizer.build(self.trainable_variables)

    # -- fit ----------------------------------------------------------------

    @like_keras
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains the model, as `keras.Model.fit`, which has more arguments.

        What differs:

        Args:
            class_weight: Keyword only. For a model with one output a dict
                from class indices to weights, as in Keras. By task, which
                Keras does not take: a dict from names of outputs to such
                dicts. Outputs and classes that it leaves out weigh 1. Labels
                are class indices or one-hot. It multiplies `sample_weight`,
                and weighs nothing in validation.
            sample_weight: For several outputs a dict by their names, or a
                list in their order.

        Returns:
            A `History`. With an `aggregator` its logs have, beside those of
            Keras, `gradient_conflict`: the share of pairs of tasks whose
            gradients have a negative inner product, from 0 to 1. It is not
            measured in validation.

        Example:

        ```python
        model.fit(
            x,
            {"digit": digits, "angle": angles},
            class_weight={"digit": {0: 1.0, 9: 4.0}},
            sample_weight={"angle": certainties},
        )
        ```
        """
        with self._explaining("fit", args, kwargs):
            kwargs = self._take_class_weight("fit", args, kwargs)
            args, kwargs = self._spread_weights("fit", args, kwargs)
            bound = inspect.signature(super().fit).bind(*args, **kwargs)
            if self._takes_task_gradients:
                bound.arguments["callbacks"] = with_epoch_ends(
                    bound.arguments.get("callbacks"), self
                )
            return super().fit(*bound.args, **bound.kwargs)

    @like_keras
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Returns losses and metrics of all tasks, as `keras.Model.evaluate`.

        Auxiliaries and what is measured of gradients are left out.
        """
        with self._explaining("evaluate", args, kwargs):
            args, kwargs = self._spread_weights("evaluate", args, kwargs)
            return super().evaluate(*args, **kwargs)

    @like_keras
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Predicts all outputs, as `keras.Model.predict`.

        Auxiliaries are left out.
        """
        with self._explaining("predict", args, kwargs):
            return super().predict(*args, **kwargs)

    @like_keras
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Takes one training step, as `keras.Model.train_on_batch`.

        What differs:

        Args:
            class_weight: Keyword only. Class indices to weights for a model
                with one output, or, by task, a dict from names of outputs to
                such dicts; see `fit`.

        Returns:
            What Keras returns, with `gradient_conflict` as in `fit`.
        """
        with self._explaining("train_on_batch", args, kwargs):
            kwargs = self._take_class_weight("train_on_batch", args, kwargs)
            args, kwargs = self._spread_weights("train_on_batch", args, kwargs)
            logs = super().train_on_batch(*args, **kwargs)
            if not all_finite(logs):
                tell_of_not_finite(self)
            return logs

    @like_keras
    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Measures one batch, as `keras.Model.test_on_batch`.

        Auxiliaries and what is measured of gradients are left out.
        """
        with self._explaining("test_on_batch", args, kwargs):
            args, kwargs = self._spread_weights("test_on_batch", args, kwargs)
            return super().test_on_batch(*args, **kwargs)

    @contextlib.contextmanager
    def _explaining(
        self, method: str, args: tuple, kwargs: dict[str, Any]
    ) -> Iterator[None]:
        """Turns errors into such as name the argument or task at fault."""
        refuse_compile_arguments(f"`{method}`", kwargs)
        refuse_unknown_arguments(getattr(keras.Model, method), kwargs)
        data = dict(zip(("x", "y"), args)) | kwargs
        warn_of_sorted_names(
            data.get("y"), getattr(self, "_outputs_struct", None)
        )
        try:
            with self._watching_labels(data):
                yield
        except Exception as error:
            labels = labels_given(data.get("x"), data.get("y"))
            names = getattr(self, "output_names", None) or ()
            try:
                refuse_unknown_identifier(error)
                refuse_string_labels(labels, names)
                refuse_other_structure(error, labels, names)
            except ValueError as explained:
                raise explained from error
            raise

    def _spread_weights(
        self, method: str, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[tuple, dict[str, Any]]:
        """Completes sample weights of some outputs, which Keras refuses."""
        signature = inspect.signature(getattr(super(), method))
        bound = signature.bind_partial(*args, **kwargs)
        arguments = bound.arguments
        names = getattr(self, "output_names", None)
        spread = functools.partial(
            spread_by_output, "sample_weight", kind=WITH_LABELS
        )
        y = arguments.get("y")
        if not self._is_stock:
            weights = arguments.get("sample_weight")
            self._refuse_tasks(self.loss, sample_weight=weights)
        if y is not None and isinstance(arguments.get("sample_weight"), dict):
            outputs = getattr(self, "_outputs_struct", None)
            if isinstance(y, (list, tuple)) and isinstance(outputs, dict):
                # Keras takes listed labels of a dict in this order.
                y = arguments["y"] = labels_by_output(y, names) or y
            arguments["sample_weight"] = spread(
                arguments["sample_weight"], y, names
            )
        held_out = arguments.get("validation_data")
        if isinstance(held_out, (list, tuple)) and len(held_out) == 3:
            x, y, weights = held_out
            arguments["validation_data"] = x, y, spread(weights, y, names)
        return bound.args, bound.kwargs

    def _watching_labels(
        self, data: dict[str, Any]
    ) -> contextlib.AbstractContextManager:
        """Looks at labels in arrays, which a compiled step cannot do.

        Args:
            data: Arguments of `fit` or its like.
        """
        stack = contextlib.ExitStack()
        names = getattr(self, "output_names", None)
        if data.get("class_weight") is not None:
            settings = self._settings
            settings.labels_at_hand = labels_by_output(data.get("y"), names)
            stack.callback(settings.labels_at_hand.clear)
        if self.missing_label is None:
            return stack
        held_out = data.get("validation_data")
        held_out = held_out if isinstance(held_out, (list, tuple)) else ()
        by_output = [
            labels_by_output(y, names) for y in (data.get("y"), *held_out[1:2])
        ]
        stack.enter_context(self._settings.whole_labels.watching(*by_output))
        return stack

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return super().metrics + self._settings.training_metrics

    @property
    def metrics_variables(self) -> list[keras.Variable]:
        not_finite = self._settings.not_finite
        hidden = [] if not_finite is None else not_finite.variables
        return super().metrics_variables + hidden

    def _flatten_layers(self, *args: Any, **kwargs: Any) -> list[Any]:
        # What `layers`, `summary` and their like show: the state of a method
        # is no layer of the network, if Keras tracks it as one. That of a
        # model within this one is met here, too.
        return [
            layer
            for layer in super()._flatten_layers(*args, **kwargs)
            if not isinstance(layer, MethodState)
        ]

    def _take_class_weight(
        self, method: str, args: tuple, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Keeps class weights by task for the step; Keras refuses them."""
        signature = inspect.signature(getattr(super(), method))
        arguments = signature.bind_partial(*args, **kwargs).arguments
        class_weight = arguments.get("class_weight")
        if class_weight is not None and not is_per_task(class_weight):
            class_weight = self._of_one_output(class_weight)
        if class_weight is not None:
            if "class_weight" not in kwargs:
                raise ValueError("Pass `class_weight` as a keyword argument.")
            names = getattr(self, "output_names", None) or list(class_weight)
            if not self._is_stock:
                self._refuse_tasks(self.loss, class_weight=class_weight)
            validate_class_weight(class_weight, names)
            if getattr(self._compile_loss, "built", False):
                # A step that was compiled before looks at no labels any more.
                self._check_labels_at_hand(class_weight, self._known_outputs())
            kwargs = {**kwargs, "class_weight": None}
        if class_weight != self._settings.class_weight:
            self._settings.class_weight = class_weight
            # The compiled step has the old weights in it.
            self.train_function = None
        return kwargs

    def _of_one_output(self, class_weight: dict) -> dict | None:
        """Class weights by output, or `None` where they are left to Keras.

        Keras takes labels with more than one axis for one-hot, whatever the
        loss.
        """
        names = getattr(self, "output_names", None) or [""]
        if len(names) > 1:
            raise ValueError(
                "`class_weight` of a model with several outputs should be "
                "a dict from output names to class weights, e.g. "
                f"{{'{names[0]}': {{0: 1.0, 1: 5.0}}}}. Received: "
                f"class_weight={class_weight}"
            )
        is_left = self._is_stock or not names[0]
        return None if is_left else {names[0]: class_weight}

    def _prepare_batch(self, data: Any) -> Any:
        """Multiplies sample weights by the class weights of each task."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        names = getattr(self, "output_names", None)
        class_weight = self._settings.class_weight
        if class_weight is not None:
            judged = self._judged_outputs(x, y, sample_weight)
            self._check_labels_at_hand(class_weight, judged)
            sample_weight = with_class_weight(
                y, sample_weight, class_weight, names, judged
            )
            if isinstance(self._compile_loss, TaskLosses):
                self._compile_loss.expect_class_weight(class_weight)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _judged_outputs(
        self, x: Any, y: Any, sample_weight: Any
    ) -> dict[str, Judged]:
        """How outputs are judged, also those that have metrics alone."""
        losses = self._compile_loss
        if isinstance(losses, TaskLosses) and not losses.built:
            self._evaluate_symbolically(x, y, sample_weight)
        return self._known_outputs()

    def _known_outputs(self) -> dict[str, Judged]:
        """How outputs are judged, as far as it is known by now."""
        judged = {}
        if isinstance(self, Functional):
            outputs = keras.tree.flatten(self._outputs_struct)
            for name, output in zip(self.output_names, outputs):
                judged[name] = Judged(tuple(output.shape))
        if isinstance(self._compile_loss, TaskLosses):
            judged.update(self._compile_loss.judged())
        return judged

    def _check_labels_at_hand(
        self, class_weight: dict, judged: dict[str, Judged]
    ) -> None:
        """Looks at labels of classes, of outputs that are known by now."""
        at_hand = self._settings.labels_at_hand
        for name, weights in class_weight.items():
            missing = missing_label_of(self.missing_label, name)
            how = judged.get(name, Judged())
            check_labels(name, weights, at_hand.get(name), how, missing)

    def _evaluate_symbolically(
        self, x: Any, y: Any, sample_weight: Any
    ) -> None:
        """Shows the losses the shapes of predictions, before there are any."""

        def evaluate(x: Any, y: Any, sample_weight: Any) -> Tensor:
            kwargs = {"training": True} if self._call_has_training_arg else {}
            return self._compute_loss(
                x, y, self(x, **kwargs), sample_weight, training=True
            )

        batch = keras.tree.map_structure(_to_spec, (x, y, sample_weight))
        with lifted(), contextlib.suppress(Exception):
            # What fails here fails in the step as well, which says so; but for
            # a model that cannot be called symbolically, which then is judged
            # by its labels alone.
            compute_output_spec(evaluate, *batch)

    @functools.wraps(keras.Model.save)
    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        check_legacy_path(self, filepath)
        super().save(filepath, *args, **kwargs)

    @functools.wraps(keras.Model.load_weights)
    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        if self.auxiliaries is None or not lacks_auxiliaries(filepath):
            super().load_weights(filepath, *args, **kwargs)
            return
        skipped = kwargs.pop("objects_to_skip", None) or ()
        kwargs["objects_to_skip"] = [*skipped, self.auxiliaries]
        with as_weights_file(filepath) as path:
            super().load_weights(path, *args, **kwargs)
        warn_of_missing(self.auxiliaries, filepath)

    @functools.wraps(keras.Model.export)
    def export(self, *args: Any, **kwargs: Any) -> Any:
        if not has_graph(self):
            return super().export(*args, **kwargs)
        # Served without what only training needs: heads, state of the method.
        plain = keras.Model(self.input, self.output, name=self.name)
        # Some formats want a model that was called, as this one was by `fit`.
        plain(self.input)
        return plain.export(*args, **kwargs)

    def _run_through_graph(self, *args: Any, **kwargs: Any) -> Any:
        # Of functional models; so Keras computes them and clones them.
        if is_clone_function(kwargs.get("operation_fn")):
            check_is_cloned(self)
        return super()._run_through_graph(*args, **kwargs)

    # -- one step, backend-neutral -------------------------------------------

    @property
    def _takes_task_gradients(self) -> bool:
        """Whether the step differs from stock Keras at all."""
        settings = self._settings
        return (
            settings.aggregator is not None
            or settings.weighting is not None
            or self.auxiliaries is not None
        )

    @property
    def _awaits_tasks(self) -> bool:
        """Whether a method has yet to make its state, in the first batch.

        An optimizer that is built before could not train what the method does.
        """
        return self._takes_task_gradients and self.task_names is None

    @property
    def _is_stock(self) -> bool:
        """Whether the model is compiled to do all that Keras does, as it does.

        Without gradients of tasks, labels may still be missing.
        """
        return not self._takes_task_gradients and self.missing_label is None

    @property
    def _representation(self) -> Any:
        return self._settings.representation

    def _open_auxiliary_taps(self, stack: Any, taps: dict[str, Any]) -> Any:
        """Taps what the auxiliaries read: a tap, or a list of taps."""

        def open_tap(name: str) -> Any:
            operation = find_operation(self, name)
            if operation is self._representation and taps:
                return taps["representation"]
            return stack.enter_context(tap(operation))

        return keras.tree.map_structure(
            open_tap, self.auxiliaries.representation
        )

    def _predict_auxiliaries(self, tapped: Any) -> dict[str, Tensor]:
        """What the auxiliaries predict from what was tapped, by output."""
        if self.auxiliaries is None:
            return {}
        features = keras.tree.map_structure(lambda t: t.outlet, tapped)
        return self.auxiliaries(features, training=True)

    def _evaluate(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any, predictions: dict
    ) -> tuple[Tensor, Objectives]:
        """Evaluates the losses once: what is logged and what is minimised."""
        with self._compile_loss.recording(predictions) as record:
            loss = self._compute_loss(
                x=x,
                y=y,
                y_pred=y_pred,
                sample_weight=sample_weight,
                training=True,
            )
        if not record.losses:
            raise ValueError(
                "The losses of the tasks were not computed. A `compute_loss` "
                "of your own must call `super().compute_loss(...)` and may add "
                "to it; otherwise compile with `aggregator=None` and "
                "`weighting=None`."
            )
        self._build_methods(self._all_task_names())
        # Before anything that a method may remember or draw.
        state = self.method_state.values()
        for index, tracker in self._settings.auxiliary_trackers.items():
            tracker.update_state(
                unscale_loss_for_distribution(record.auxiliary_losses[index]),
                sample_weight=record.auxiliary_labelled.get(index),
            )
        objectives = make_objectives(
            record,
            self._rest(loss, record),
            task_weights=self._compile_loss.task_weights,
            auxiliaries=self.auxiliaries,
            weighting=self.weighting,
            optimizer=self.optimizer,
        )
        self._settings.not_finite.update_state(objectives.losses)
        return loss, objectives._replace(state=state)

    def _rest(self, loss: Tensor, record: Any) -> Tensor | None:
        """What the loss holds beside the tasks, or `None`."""
        if type(self).compute_loss is not keras.Model.compute_loss:
            # Whatever the user's `compute_loss` adds: nothing gets lost.
            weights = self._compile_loss.task_weights
            # A sum, because of a batch with no example Keras makes no scalar.
            return keras.ops.sum(loss) - sum(
                weight * record.losses[t] for t, weight in enumerate(weights)
            )
        losses = [self._aggregate_additional_loss(term) for term in self.losses]
        return sum(losses) if losses else None

    def _aggregate_additional_loss(self, loss: Tensor) -> Tensor:
        # A half-precision one of an activity regulariser is added to losses in
        # float32, which TensorFlow refuses.
        loss = super()._aggregate_additional_loss(loss)
        return keras.ops.cast(loss, keras.backend.floatx())

    def _combine_variables(
        self, rows: list[list], variables: list, objectives: Objectives
    ) -> list[Tensor]:
        """One gradient a variable from T."""
        columns = [list(column) for column in zip(*rows)]
        # What the weighting trains belongs to no task and is not arbitrated.
        arbitrated = self._model_variables()
        positions = positions_of(arbitrated, variables)
        gradients = {}
        if shared_places(columns, positions):
            result = combine(
                self.aggregator,
                [columns[i] for i in positions],
                group_variables(arbitrated, self.aggregator.granularity),
                objectives,
            )
            self._note_conflict(result)
            gradients = dict(zip(positions, result.gradients))
        else:
            accept_frozen(self)
        gradients = [
            gradients[i] if i in gradients else total(column)
            for i, column in enumerate(columns)
        ]
        for i, variable in enumerate(variables):
            if _takes_values(variable) and tasks_of(columns[i]):
                present = [g for g in columns[i] if g is not None]
                gradients[i] = functools.reduce(keras.ops.maximum, present)
        return gradients

    def _combine_representation(
        self, rows: list[list], objectives: Objectives, reduce_gram: Any = None
    ) -> Combined:
        """One gradient at the representation from T, and how it was made."""
        columns = [list(column) for column in zip(*rows)]
        if all(len(tasks_of(column)) < 2 for column in columns):
            raise ValueError(
                f"The representation '{self._representation.name}' leads to "
                "less than two tasks, so there is nothing to aggregate. Name "
                "the last layer that the tasks share."
            )
        return combine(
            self.aggregator,
            columns,
            [0] * len(columns),
            objectives,
            reduce_gram,
        )

    def _note_conflict(self, result: Combined) -> None:
        self.gradient_conflict.update_state(
            result.gram, result.weights, result.unit
        )

    def _finish_cut(
        self,
        variables: list,
        head_rows: list[list],
        below: list,
        result: Combined,
    ) -> None:
        """Notes the conflict at the representation, if it arbitrates at all.

        Args:
            variables: All that is trained.
            head_rows: Task gradients of the variables above.
            below: Gradients of the variables below.
            result: What `_combine_representation` returned.

        Raises:
            ValueError: Unless all that tasks share lies below it.
        """
        places = positions_of(self._model_variables(), variables)
        self._check_cut(places, variables, head_rows, below)
        if all(below[i] is None for i in places):
            # What the tasks want of frozen layers moves nothing.
            accept_frozen(self)
        else:
            self._note_conflict(result)

    def _check_cut(
        self,
        places: list[int],
        variables: list,
        head_rows: list[list],
        below: list,
    ) -> None:
        """Raises unless all that tasks share lies below the representation."""
        name = self._representation.name
        for i in places:
            variable, under = variables[i], below[i]
            above = [row[i] for row in head_rows]
            reached = [self.task_names[t] for t in tasks_of(above)]
            if under is not None and reached:
                raise ValueError(
                    f"The representation '{name}' is no cut of the model: the "
                    f"tasks {reached} reach the variable '{variable.path}' "
                    "through it and around it. Name a layer that all paths "
                    "from the shared variables to the tasks go through."
                )
            if len(reached) > 1:
                raise ValueError(
                    f"The tasks {reached} share the variable '{variable.path}' "
                    f"above the representation '{name}', where no aggregator "
                    "would see it. Name the last layer that the tasks share."
                )

    def _observes(self, name: str) -> bool:
        return self.weighting is not None and name in self.weighting.observes

    @property
    def _observes_gradients(self) -> bool:
        return self._observes("gradient_norms") or self._observes(
            "gradient_gram"
        )

    def _observe_gradients(
        self, rows: list[list], variables: list, objectives: Objectives
    ) -> dict[str, Tensor]:
        """What the weighting wants to see of the task gradients.

        Args:
            rows: Task gradients of `variables`, or at the representation.
            variables: The variables; empty at the representation.
            objectives: Of this step.
        """
        observed = {}
        if self._observes("gradient_norms"):
            observed["gradient_norms"] = self._gradient_norms(
                rows, variables, objectives
            )
        if self._observes("gradient_gram"):
            observed["gradient_gram"] = self._gradient_gram(
                rows, variables, objectives
            )
        return observed

    def _update_weighting(
        self, objectives: Objectives, observed: dict[str, Tensor], batch: tuple
    ) -> None:
        if self.weighting is None:
            return
        if self._observes("losses_after"):
            observed["losses_after"] = self._losses_after(*batch)
        self.weighting.update(objectives.seen, weightings.Observed(**observed))

    def _keep_state_of_step(
        self, objectives: Objectives, gradients: list[Tensor | None]
    ) -> None:
        """Undoes what the methods remember of a step that is not taken.

        Args:
            objectives: Of this step.
            gradients: What the optimizer was given.
        """
        if objectives.state:
            taken = is_taken(
                self.optimizer,
                gradients,
                objectives,
                self.gradient_conflict,
                getattr(self.aggregator, "scale_free", False),
            )
            self.method_state.keep(taken, objectives.state)

    def _losses_after(self, x: Any, y: Any, sample_weight: Any) -> Tensor:
        """Task losses of the batch with the variables as they are now.

        Nothing of this second look remains: metrics, random seeds and moving
        averages of the layers go on from the first.
        """
        held = self.variables + self.metrics_variables
        # Also the loss scale, which on JAX is nowhere else during a step.
        held += self.optimizer.variables
        values = [(v, v.value) for v in held]
        kwargs = {"training": True} if self._call_has_training_arg else {}
        with contextlib.ExitStack() as stack:
            stack.enter_context(keras.StatelessScope(values))
            tapped = None
            if self.auxiliaries is not None:
                tapped = self._open_auxiliary_taps(stack, {})
            y_pred = self(x, **kwargs)
            predictions = self._predict_auxiliaries(tapped)
            _, objectives = self._evaluate(
                x, y, y_pred, sample_weight, predictions
            )
        return objectives.seen

    def _gradient_norms(
        self, rows: list[list], variables: list, objectives: Objectives
    ) -> Tensor:
        """Norms `[T]` of task gradients, at one layer."""
        places = range(len(rows[0]))
        if variables:
            places = self._norm_places(rows, variables)
        if not places:
            return keras.ops.full((len(rows),), float("nan"))
        norms = norms_of([[row[i] for i in places] for row in rows])
        norms = norms / objectives.scale
        if objectives.present is None:
            return norms
        return keras.ops.where(objectives.present, norms, float("nan"))

    def _gradient_gram(
        self, rows: list[list], variables: list, objectives: Objectives
    ) -> Tensor:
        """Inner products `[T, T]` of task gradients, over what is shared."""
        columns = [list(column) for column in zip(*rows)]
        if variables:
            places = positions_of(self._model_variables(), variables)
            columns = [columns[i] for i in places]
        shared = [column for column in columns if len(tasks_of(column)) > 1]
        if not shared:
            accept_frozen(self)
            return keras.ops.full((len(rows), len(rows)), float("nan"))
        grams, units = scaled_gram(shared, [0] * len(shared))
        gram = in_units(grams, units / objectives.scale)[0]
        if objectives.present is None:
            return gram
        present = objectives.present
        both = keras.ops.logical_and(present[:, None], present[None, :])
        return keras.ops.where(both, gram, float("nan"))

    def _norm_places(self, rows: list[list], variables: list) -> list[int]:
        """Which variables belong to the weighting's `norm_layer`.

        None where all that the tasks share is frozen.
        """
        name = self.weighting.norm_layer
        if name is None:
            return last_shared_places(self, rows, variables)
        layer = find_operation(self, name, "norm_layer")
        own = {id(v) for v in getattr(layer, "trainable_variables", [])}
        places = [i for i, v in enumerate(variables) if id(v) in own]
        frozen = {id(v) for v in frozen_variables(self)}
        held = getattr(layer, "variables", [])
        if not places and any(id(v) in frozen for v in held):
            if last_shared_places(self, rows, variables):
                raise ValueError(
                    f"`norm_layer` of {type(self.weighting).__name__} is "
                    "frozen, while others that the tasks share train. Name one "
                    "of these, or None for the last of them. Received: "
                    f"norm_layer={name!r}"
                )
        elif not any(row[i] is not None for row in rows for i in places):
            raise ValueError(
                f"`norm_layer` of {type(self.weighting).__name__} should be "
                "the name of a layer with trainable weights that the tasks "
                "share; by default it is the last one with a kernel. Received: "
                f"norm_layer={name!r}, which no task reaches"
            )
        return places

    def _drop_training_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Evaluation takes no gradients: it has nothing to say of them."""
        hidden = {metric.name for metric in self._settings.training_metrics}
        return {k: v for k, v in logs.items() if k not in hidden}

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        # Keras compares the keys of the logs with those of all metrics.
        results = self.get_metrics_result()
        if isinstance(logs, dict):
            dropped = self._drop_training_logs(results)
            if logs.keys() == dropped.keys():
                return dropped
        return super()._get_metrics_result_or_logs(logs)

    # -- state of the methods -------------------------------------------------

    def _reset_settings(self, **settings: Any) -> None:
        # A namespace, because Keras would track lists and metrics in attributes
        # and could not let go of them when the model is compiled anew.
        self._settings = SimpleNamespace(
            aggregator=None,
            weighting=None,
            representation=None,
            missing_label=None,
            whole_labels=WholeLabels(),
            class_weight=None,
            labels_at_hand={},
            task_names=None,
            said_frozen=False,
            column_heads=frozenset(),
            conflict=None,
            not_finite=None,
            auxiliary_trackers={},
            training_metrics=[],
        )
        vars(self._settings).update(settings)

    def _check_names_of_outputs(self, **arguments: Any) -> None:
        """Raises for entries of what is no output, where outputs are known.

        Stock Keras finds them in the first batch, and so does the model while
        it is that.
        """
        if not isinstance(self, Functional) or self._is_stock:
            return
        outputs = self._outputs_struct
        known = [*self.output_names, *names_in(outputs)]
        for argument, given in arguments.items():
            if isinstance(given, dict):
                check_nested_entries(argument, given, outputs, known)

    def _refuse_tasks(self, loss: Any, **arguments: Any) -> None:
        """Raises for entries by task in arguments that go by output."""
        names = getattr(self, "output_names", None)
        heads = () if self.auxiliaries is None else list(self.auxiliaries.heads)
        for argument, given in arguments.items():
            refuse_tasks(argument, given, loss, names, heads)

    def _validate_methods(
        self, loss: Any, aggregator: Any, weighting: Any, representation: Any
    ) -> None:
        acts_on_tasks = (aggregator, weighting, self.auxiliaries)
        if loss is None and any(part is not None for part in acts_on_tasks):
            raise ValueError(
                "An aggregator, a weighting and self-auxiliaries act on the "
                "tasks of `loss`, but `loss` is None. Give a loss for each "
                "task."
            )
        reads = () if weighting is None else weighting.reads
        if reads and num_replicas() > 1:
            raise ValueError(
                f"{type(weighting).__name__} needs the losses of the whole "
                "batch, which a replica of `tf.distribute` does not have. Use "
                "`loss_weights` or a weighting that looks at no losses "
                "(Schedule, SVDWeights, RandomLossWeighting), or train on one "
                "device. Received: "
                f"weighting={weighting!r} on {num_replicas()} replicas"
            )
        if representation is None:
            return
        if aggregator is None:
            raise ValueError(
                "`representation` says where an aggregator takes its "
                "gradients, but `aggregator` is None. Give an aggregator, or "
                f"leave it out. Received: representation={representation}"
            )
        if aggregator.scope == "all":
            raise ValueError(
                "`representation` is shared by all tasks, and an aggregator "
                'with `scope="all"` looks at heads too. Received: '
                f"{aggregator!r}"
            )
        if aggregator.transforms:
            raise ValueError(
                f"`representation` and {aggregator!r} exclude each other: it "
                "remembers gradients from step to step, but at a "
                "representation they belong to the examples of one batch. "
                f"{aggregator.forgetting_hint or 'Leave one of them out.'}"
            )

    def _claim(self, method: Any) -> None:
        """State belongs to one model: two would overwrite each other's."""
        if method is None:
            return
        owner = getattr(method, "_owner", lambda: None)()
        if owner is not None and owner is not self and method.variables:
            raise ValueError(
                f"This {type(method).__name__} already belongs to the model "
                f"'{owner.name}' and has state. Make a new instance for each "
                "model."
            )
        method._owner = weakref.ref(self)
        for part in method.methods:
            self._claim(part)

    def _build_methods_early(
        self, loss: Any, loss_weights: Any, output_names: Any
    ) -> None:
        """Builds at once where outputs are known, so mistakes show early."""
        self.method_state.hold()
        if self._takes_task_gradients:
            self.method_state.await_tasks()
        if loss is None or not isinstance(self, Functional):
            return
        if not self._takes_task_gradients:
            return
        outputs = self._outputs_struct
        losses = TaskLosses(loss, loss_weights, output_names)
        try:
            losses.build(outputs, outputs)
        except (KeyError, TypeError, ValueError):
            # `fit` builds with the labels and raises what there is to raise.
            return
        self._settings.column_heads = self._find_column_heads(losses)
        check_tasks(self, losses)
        self._build_methods(self._all_task_names(losses))

    def _find_column_heads(self, losses: TaskLosses) -> frozenset[int]:
        """Identities of variables that are heads of tasks, side by side."""
        if getattr(self.aggregator, "scope", "shared") != "shared":
            # It looks at heads as well.
            return frozenset()
        return frozenset(
            id(variable)
            for output, size in losses.split_outputs.items()
            for variable in column_heads(self, output, size)
        )

    def _all_task_names(self, losses: TaskLosses | None = None) -> list[str]:
        """The tasks of `loss`, then auxiliaries that are tasks of their own."""
        losses = losses or self._compile_loss
        names = list(losses.task_names)
        if self.auxiliaries is not None and self.auxiliaries.as_tasks:
            names += [f"{names[t]}_aux" for t in self._auxiliary_tasks(losses)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"Two tasks have the name '{name}': a task of `loss`, and "
                    "the auxiliary of another. Rename the output."
                )
        return names

    def _auxiliary_tasks(self, losses: TaskLosses) -> list[int]:
        outputs = enumerate(losses.task_outputs)
        return [t for t, name in outputs if name in self.auxiliaries.heads]

    def _build_methods(self, task_names: Sequence[str]) -> None:
        """Makes the state of the methods, once the tasks are known."""
        settings = self._settings
        if not self._takes_task_gradients:
            return
        if settings.task_names is not None:
            self._check_same_tasks(task_names)
            return
        # Also what is loaded: assigned in the traced step, it would be
        # assigned again in every step.
        with lifted():
            if settings.aggregator is not None:
                spec = self._gradient_spec(tuple(task_names))
                # Compiled anew, layers may have been frozen or thawed.
                settings.aggregator.build(spec, replace=True)
            if settings.weighting is not None:
                settings.weighting.build(task_names)
            for method in (settings.aggregator, settings.weighting):
                self._claim(method)
            self._make_training_metrics(task_names)
            self.method_state.hold(
                aggregator=settings.aggregator, weighting=settings.weighting
            )
            check_optimizer_knows(self.optimizer, self.method_state.weights)
        settings.task_names = list(task_names)

    def _check_same_tasks(self, task_names: Sequence[str]) -> None:
        """A file may name other tasks than a subclassed model now has."""
        known = self._settings.task_names
        if not isinstance(self, Functional) and known != list(task_names):
            raise ValueError(
                f"The model '{self.name}' was restored with state of a method "
                f"for the tasks {known}, and its loss now has the tasks "
                f"{list(task_names)}. Compile it anew to begin with these."
            )

    def _gradient_spec(self, task_names: tuple[str, ...]) -> GradientSpec:
        """What the aggregator must know of gradients to make its state."""
        variables = self._model_variables()
        groups = [0]
        if self._representation is None:
            groups = group_variables(variables, self.aggregator.granularity)
        shapes = tuple(v.shape for v in variables)
        num_groups = len(set(groups))
        return GradientSpec(len(task_names), (num_groups,), shapes, task_names)

    def _symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        optimizer = self.optimizer
        if self._awaits_tasks:
            # The optimizer must wait: it also trains what a weighting makes,
            # and that is made once Keras has built the losses.
            self.optimizer = None
            try:
                super()._symbolic_build(iterator, data_batch)
            finally:
                self.optimizer = optimizer
            check_tasks(self, self._compile_loss)
            self._build_methods(self._all_task_names())
        super()._symbolic_build(iterator, data_batch)

    def _model_variables(self) -> list[keras.Variable]:
        """Those that tasks may share."""
        own = {id(v) for v in self.method_state.variables}
        own |= self._settings.column_heads
        return [
            v
            for v in self.trainable_variables
            if id(v) not in own and not _takes_values(v)
        ]

    def _make_training_metrics(self, task_names: Sequence[str]) -> None:
        settings = self._settings
        settings.not_finite = NotFinite(task_names)
        if settings.aggregator is not None:
            settings.conflict = GradientConflict(len(task_names))
            settings.training_metrics.append(settings.conflict)
        if self.auxiliaries is None:
            return
        losses = self._compile_loss
        if not losses.built:
            losses = TaskLosses(self.loss, None, self.output_names)
            losses.build(self._outputs_struct, self._outputs_struct)
        for t in self._auxiliary_tasks(losses):
            name = losses.task_names[t]
            tracker = keras.metrics.Mean(f"{name}_aux_loss")
            # By name: on TensorFlow, `self.loss` gives another order.
            settings.auxiliary_trackers[task_names.index(name)] = tracker
            settings.training_metrics.append(tracker)


@keras.saving.register_keras_serializable(package="keras_mtl")
class FunctionalMultiTaskModel(MultiTaskModel, Functional):
    """What `MultiTaskModel(inputs, outputs)` makes."""

    # Keras revives a functional model from a file if the constructor's
    # parameters are called just so.
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        outputs = kwargs.get("outputs", args[1:2])
        auxiliaries = waiting_auxiliaries(outputs)
        if auxiliaries is not None:
            self.auxiliaries = auxiliaries

    def _run_through_graph(self, *args: Any, **kwargs: Any) -> Any:
        outputs = super()._run_through_graph(*args, **kwargs)
        clone = kwargs.get("operation_fn")
        if self.auxiliaries is not None and is_clone_function(clone):
            clone_auxiliaries(self, outputs, clone)
        return outputs

    def get_config(self) -> dict[str, Any]:
        check_legacy_config(self)
        config = super().get_config()
        if self.auxiliaries is not None:
            serialize = keras.saving.serialize_keras_object
            config["auxiliaries"] = serialize(self.auxiliaries)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "FunctionalMultiTaskModel":
        config = dict(config)
        auxiliaries = config.pop("auxiliaries", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if auxiliaries is not None:
            model.auxiliaries = keras.saving.deserialize_keras_object(
                auxiliaries, custom_objects=custom_objects
            )
        return model


# Legacy `.h5` files name a class without its package.
keras.saving.get_custom_objects()["FunctionalMultiTaskModel"] = (
    FunctionalMultiTaskModel
)


def _takes_values(variable: keras.Variable) -> bool:
    """Whether "gradients" of a variable are new values of it.

    So it is with the ranges of float8 layers, which know only a largest value,
    no sum and no direction.
    """
    return getattr(variable, "overwrite_with_gradient", False)


def _to_spec(tensor: Any) -> keras.KerasTensor | None:
    """Shape and type of one tensor of a batch."""
    if tensor is None:
        return None
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.KerasTensor(tensor.shape, dtype)


def _is_functional(args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether the arguments are `inputs` and `outputs`."""
    return (
        len(args) >= 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )


def _validate_loss_weights(loss_weights: Any, as_stock: bool) -> None:
    """Raises for weights of which no tasks can be made.

    Stock Keras also trains with negative ones, and with variables.
    """
    for weight in keras.tree.flatten(loss_weights):
        if isinstance(weight, keras.Variable):
            if as_stock:
                continue
            raise ValueError(
                "`loss_weights` should be numbers: a compiled step would hold "
                "on to the value that a variable has now. Use a `weighting` "
                "for weights that change. Received: "
                f"loss_weights={loss_weights}"
            )
        is_number = isinstance(weight, numbers.Real) and math.isfinite(weight)
        if weight is None or (is_number and (as_stock or weight >= 0)):
            continue
        raise ValueError(
            "`loss_weights` should be finite numbers from 0 up (below 0 only "
            "without aggregator, weighting, auxiliaries and `missing_label`). "
            f"Received: loss_weights={loss_weights}"
        )


def _validate_names_of_weights(loss_weights: Any, loss: Any) -> None:
    if not isinstance(loss_weights, dict) or not isinstance(loss, dict):
        return
    check_entries("loss_weights", loss_weights, loss, "tasks of `loss`")
    if set(loss_weights) != set(loss):
        # Keras would take the values in their order and ignore the names.
        raise ValueError(
            "`loss_weights` should have an entry for each task of `loss`, "
            f"{list(loss)}. Received: loss_weights={loss_weights}"
        )
