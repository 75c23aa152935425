"""A Keras model that arbitrates between the gradients of its tasks."""

import functools
from typing import Any

import keras

from keras_mtl import aggregators
from keras_mtl import weightings
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
from keras_mtl.trainers.building import build_early
from keras_mtl.trainers.building import build_methods
from keras_mtl.trainers.building import claim
from keras_mtl.trainers.compiled_parts import tell_tasks_apart
from keras_mtl.trainers.gradient_conflict import GradientConflict
from keras_mtl.trainers.settings import CompiledSettings
from keras_mtl.trainers.settings import awaits_tasks
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.trainers.trainer import Trainer
from keras_mtl.trainers.validation import validate_methods
from keras_mtl.trainers.validation import validate_names_of_outputs
from keras_mtl.trainers.validation import validate_stock
from keras_mtl.utils.argument_validation import refuse_compile_arguments
from keras_mtl.utils.did_you_mean import naming_arguments
from keras_mtl.utils.graph import find_operation
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.keras_internals import Functional
from keras_mtl.utils.keras_internals import losses_of


class MultiTaskModel(Trainer):
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

    def __new__(cls, *args: Any, **kwargs: Any) -> "MultiTaskModel":
        if cls is MultiTaskModel and _is_functional(args, kwargs):
            cls = FunctionalMultiTaskModel
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        refuse_compile_arguments("the constructor", kwargs)
        # First, because Keras reads `metrics` as it builds a functional model.
        self._settings = CompiledSettings()
        if _is_functional(args, kwargs) and not isinstance(self, Functional):
            # Keras would turn all base classes functional, for good; then no
            # other subclass could be a subclassed model.
            cls = type(self)
            cls.__bases__ = (*cls.__bases__, Functional)
        super().__init__(*args, **kwargs)
        # Training-only heads, set by `add_self_auxiliaries` and its like. No
        # attribute of the class: PyTorch would find that one first.
        self.auxiliaries: Any = None
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
        representation_reduction: str = "flatten",
        scale_heads: bool = False,
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
            representation_reduction: How the gradients `(batch_size, ...)` at
                the `representation` become the vectors whose inner products
                give task weights: `"flatten"` (default) keeps those of each
                example; `"mean"` and `"sum"` take that over all examples of
                the batch first, with and without labels. The weights then
                apply to the gradients of each example. MGDA-UB is published
                in all three ways.
            scale_heads: Whether variables of one task alone take its gradient
                times the weight of the aggregator, as if the weights had been
                applied to the losses; so do published MGDA and MGDA-UB. By
                default they take the gradient as it is. Heads of a task whose
                weight is 0 do not learn, and below 0 they unlearn. Only for
                aggregators that give one weight a task. Where nothing trains
                that tasks share there are no weights, and nothing is scaled.
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
        stock = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        tells_tasks = (aggregator, weighting, self.auxiliaries, missing_label)
        as_stock = all(part is None for part in tells_tasks)
        validate_stock(
            self, **stock, missing_label=missing_label, as_stock=as_stock
        )
        validate_methods(
            self,
            loss,
            aggregator,
            weighting,
            representation,
            representation_reduction,
            scale_heads,
        )
        operation = None
        if representation is not None:
            operation = find_operation(self, representation)
        super().compile(
            optimizer=optimizer,
            **stock,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self._settings = CompiledSettings(
            aggregator=aggregator,
            weighting=weighting,
            representation=operation,
            representation_reduction=representation_reduction,
            scale_heads=bool(scale_heads),
            missing_label=missing_label,
        )
        tell_tasks_apart(self, **stock, as_stock=as_stock)
        validate_names_of_outputs(self, **stock, missing_label=missing_label)
        for method in (aggregator, weighting):
            claim(self, method)
        names = getattr(self, "output_names", None)
        build_early(self, loss, loss_weights, names)

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
    def task_losses(self) -> TaskLosses | None:
        """The losses, as the model computes them; `None` before `compile`."""
        return losses_of(self)

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
        if settings.representation_reduction != "flatten":
            reduction = settings.representation_reduction
            own["representation_reduction"] = reduction
        if settings.scale_heads:
            own["scale_heads"] = True
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
            build_methods(self, task_names)
        if self.optimizer is not None and self.built and not awaits_tasks(self):
            self.optimizer.build(self.trainable_variables)

    def _mtl_layers(self, *args: Any, **kwargs: Any) -> list[Any]:
        # What `layers`, `summary` and their like show: the state of a method
        # is no layer of the network, if Keras tracks it as one. That of a
        # model within this one is met here, too.
        return [
            layer
            for layer in super()._mtl_layers(*args, **kwargs)
            if not isinstance(layer, MethodState)
        ]

    # -- saving, exporting --------------------------------------------------

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

    def _mtl_run_graph(self, *args: Any, **kwargs: Any) -> Any:
        # Of functional models; so Keras computes them and clones them.
        if is_clone_function(kwargs.get("operation_fn")):
            check_is_cloned(self)
        return super()._mtl_run_graph(*args, **kwargs)


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

    def _mtl_run_graph(self, *args: Any, **kwargs: Any) -> Any:
        outputs = super()._mtl_run_graph(*args, **kwargs)
        clone = kwargs.get("operation_fn")
        # A model that is being made has none yet.
        has_auxiliaries = getattr(self, "auxiliaries", None) is not None
        if has_auxiliaries and is_clone_function(clone):
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


def _is_functional(args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether the arguments are `inputs` and `outputs`."""
    return (
        len(args) >= 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )
