"""An optimizer with an auxiliary update that may not oppose the gradient."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl import aggregators
from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.backend import num_replicas
from keras_mtl.gradients.gram import group_indices
from keras_mtl.gradients.gram import group_variables
from keras_mtl.gradients.gram import scaled_gram
from keras_mtl.gradients.gram import weighted_sum
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.main_task import index_of_main_task
from keras_mtl.methods.registry import serialize_method
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.did_you_mean import did_you_mean
from keras_mtl.utils.keras_internals import check_known
from keras_mtl.utils.keras_internals import count_as_state
from keras_mtl.utils.keras_internals import index_in_optimizer
from keras_mtl.utils.keras_internals import is_overwritten
from keras_mtl.utils.keras_internals import own_variables_of
from keras_mtl.utils.keras_internals import variables_of_optimizer

Vectors = list[Tensor | None]
TASKS = ("main", "auxiliary")
RULES = {
    "projection": aggregators.Projection,
    "orthogonal": aggregators.Orthogonal,
    "weighted_cosine": aggregators.WeightedCosine,
    "unweighted_cosine": aggregators.UnweightedCosine,
}


@keras.saving.register_keras_serializable(package="keras_mtl")
class CensoredUpdate(keras.optimizers.Optimizer):
    """Adds to an optimizer's update a vector that is censored first.

    The gradient v that the optimizer is given is the main one. A second
    vector u for each variable takes the place of an auxiliary gradient: the
    variables themselves (`CensoredWeightDecay`), or whatever a subclass makes
    of them in `auxiliary_vectors`. A rule takes from u what opposes v, or the
    moving average of v, and leaves G.

    Decoupled, as weight decay is in AdamW, each step is

        variable -= learning_rate * weight * G

    and what the inner optimizer makes of v. Otherwise the inner optimizer is
    given v + weight * G.

    It works with any `keras.Model`: for one loss, or for what the aggregator
    of a `MultiTaskModel` makes of several.

    Args:
        inner_optimizer: The `keras.optimizers.Optimizer` to wrap. Its
            learning rate is this one's; clipping and moving averages are set
            there too.
        weight: Number from 0 up, the strength of the auxiliary update.
        rule: An aggregator with a main task, such as
            `keras_mtl.aggregators.Projection("main", smoothing=1.0)`: the
            tasks are `"main"` and `"auxiliary"`. Or the name of one:
            `"projection"` (default; each variable on its own, smoothing
            0.01), `"orthogonal"`, `"weighted_cosine"`, `"unweighted_cosine"`.
            `None` leaves u as it is.
        decoupled: Whether the inner optimizer does without the update
            (default), or sees it as a part of the gradient.
        name: Name of the optimizer.

    Raises:
        ValueError: If an argument is none of the above, or if the inner
            optimizer scales losses or accumulates gradients.

    Example:

    ```python
    @keras.saving.register_keras_serializable("my_package")
    class PullTogether(keras_mtl.optimizers.CensoredUpdate):
        '''Pulls the columns of each kernel towards their mean.'''

        def auxiliary_vectors(self, variables):
            return [
                v - keras.ops.mean(v, axis=-1, keepdims=True)
                if len(v.shape) == 2 else None
                for v in variables
            ]

    model.compile(PullTogether("adam", weight=0.1), loss="mse")
    ```

    Reference:

    - Tran-Thien, Censoring the auxiliary loss gradient to mitigate risks of
        negative transfer (section 2.5)
    """

    def __init__(
        self,
        inner_optimizer: keras.optimizers.Optimizer | str,
        weight: float,
        rule: MainTaskAggregator | str | None = "projection",
        decoupled: bool = True,
        name: str | None = None,
    ):
        weight = number_from_zero("weight", weight)
        decoupled = boolean("decoupled", decoupled)
        rule = _find_rule(rule)
        inner_optimizer = _find_optimizer(inner_optimizer)
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.weight = weight
        self.rule = rule
        self.decoupled = decoupled

    def auxiliary_vectors(self, variables: Sequence[keras.Variable]) -> Vectors:
        """The vectors u; a step goes against them, as against gradients.

        Args:
            variables: The variables that a step is about to change.

        Returns:
            For each variable a tensor of its shape, or `None`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override "
            "`auxiliary_vectors(self, variables)`."
        )

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the state of the inner optimizer and of the rule.

        Args:
            variables: The variables to train.
        """
        if self.built:
            return
        if self.rule is not None and self.rule.built:
            raise ValueError(
                f"This {type(self.rule).__name__} already serves another "
                "optimizer or model. Make a new one for `rule`."
            )
        self.inner_optimizer.build(variables)
        super().build(variables)
        if self.rule is not None:
            shapes = tuple(v.shape for v in variables)
            self.rule.build(GradientSpec(len(TASKS), (), shapes, TASKS))
            count_as_state(self, self.rule.variables)

    @property
    def variables(self) -> list[keras.Variable]:
        return [*own_variables_of(self), *self.inner_optimizer.variables]

    def apply(
        self,
        grads: Sequence[Tensor | None],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Makes one step.

        Args:
            grads: The main gradient, a tensor for each variable; with `None` a
                variable stays as it is.
            trainable_variables: The variables; by default those that the
                optimizer was built with.
        """
        if trainable_variables is None:
            trainable_variables = variables_of_optimizer(self)
        variables = list(trainable_variables)
        self._check_replicas()
        self.build(variables)
        check_known(self, variables)
        grads = list(grads)
        dense = [None if g is None else _dense(g) for g in grads]
        vectors = self._censored_vectors(dense, variables)
        if self.decoupled:
            # First, as Keras decays weights: what the inner optimizer makes of
            # the new values (constraints, averages) then includes it.
            self._descend(variables, vectors)
        else:
            grads = [
                g if u is None else g + ops.cast(self.weight * u, g.dtype)
                for g, u in zip(dense, vectors, strict=True)
            ]
        self.inner_optimizer.apply(grads, variables)

    def _check_replicas(self) -> None:
        if num_replicas() > 1:
            raise ValueError(
                f"{type(self).__name__} needs the gradients of the whole "
                "batch, which a replica of `tf.distribute` does not have. "
                "Train on one device. Received: "
                f"{num_replicas()} replicas"
            )

    def _descend(
        self, variables: Sequence[keras.Variable], vectors: Vectors
    ) -> None:
        step = self.weight * ops.cast(self.learning_rate, "float32")
        for variable, vector in zip(variables, vectors, strict=True):
            if vector is not None:
                update = step * ops.cast(vector, "float32")
                variable.assign_sub(ops.cast(update, variable.dtype))

    def _censored_vectors(
        self, gradients: Vectors, variables: Sequence[keras.Variable]
    ) -> Vectors:
        """What is left of u; `None` where nothing is to be added."""
        vectors = list(self.auxiliary_vectors(variables))
        if len(vectors) != len(variables):
            raise ValueError(
                f"`{type(self).__name__}.auxiliary_vectors` should return one "
                f"entry for each variable, {len(variables)}. Received: "
                f"{len(vectors)} entries"
            )
        for variable, vector in zip(variables, vectors, strict=True):
            shape = tuple(getattr(vector, "shape", ()))
            if vector is not None and shape != tuple(variable.shape):
                raise ValueError(
                    f"`{type(self).__name__}.auxiliary_vectors` should return "
                    "a tensor of the shape of each variable, "
                    f"{tuple(variable.shape)} for '{variable.path}'. Received: "
                    f"shape {shape}"
                )
        places = [
            i
            for i, pair in enumerate(zip(gradients, vectors, strict=True))
            if pair[0] is not None
            and pair[1] is not None
            and not is_overwritten(self, variables[i])
        ]
        left: Vectors = [None] * len(variables)
        if not places:
            return left
        if self.rule is None:
            for i in places:
                left[i] = ops.convert_to_tensor(vectors[i])
            return left
        references = self._references(gradients, variables)
        columns = [
            [
                ops.cast(row[i], "float32")
                for row in (gradients, vectors, references)
            ]
            for i in places
        ]
        found = _censor(self.rule, columns, [variables[i] for i in places])
        for i, vector in zip(places, found, strict=True):
            left[i] = vector
        return left

    def _references(
        self, gradients: Vectors, variables: Sequence[keras.Variable]
    ) -> Vectors:
        """The main gradient, or its moving average if the rule has one."""
        if not self.rule.transforms:
            return gradients
        slots = [index_in_optimizer(self, variable) for variable in variables]
        ordered: Vectors = [None] * len(variables_of_optimizer(self))
        for slot, gradient in zip(slots, gradients, strict=True):
            ordered[slot] = gradient
        # An average would never recover from an overflow, and here there is
        # no trainer that undoes it.
        given = [g for g in gradients if g is not None]
        finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in given]))
        averages = self.rule.update_reference(ordered, finite)
        return [averages[slot] for slot in slots]

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    def finalize_variable_values(
        self, var_list: Sequence[keras.Variable]
    ) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        # Without those of the base class, which are the inner optimizer's.
        serialize = keras.saving.serialize_keras_object
        return {
            "inner_optimizer": serialize(self.inner_optimizer),
            "weight": self.weight,
            "rule": serialize_method(self.rule),
            "decoupled": self.decoupled,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "CensoredUpdate":
        config = dict(config)
        for key in ("inner_optimizer", "rule"):
            config[key] = keras.saving.deserialize_keras_object(
                config[key], custom_objects=custom_objects
            )
        return cls(**config)


def _censor(
    rule: MainTaskAggregator,
    columns: Sequence[Sequence[Tensor]],
    variables: Sequence[keras.Variable],
) -> list[Tensor]:
    """What the rule leaves of u, from v, u and the reference of variables.

    Without v itself, which is the inner optimizer's.
    """
    if rule.sees == "entries":
        return [_censor_entries(rule, column) for column in columns]
    groups = group_variables(variables, rule.granularity)
    weights = rule.reference_weights(scaled_gram(columns, groups)[0])
    return [
        weighted_sum([None, *column[1:]], weights[place])
        for column, place in zip(columns, group_indices(groups), strict=True)
    ]


def _censor_entries(
    rule: MainTaskAggregator, column: Sequence[Tensor]
) -> Tensor:
    """The same for each entry of a variable on its own."""
    weights, entries = rule.entry_weights(column)
    return ops.sum((weights * entries)[..., 1:], axis=-1)


def _dense(gradient: Any) -> Tensor:
    """The whole gradient: of embeddings, TensorFlow has a few rows alone."""
    if keras.backend.backend() != "tensorflow":
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def _find_optimizer(identifier: Any) -> keras.optimizers.Optimizer:
    """The inner optimizer, if it can be one."""
    optimizer = keras.optimizers.get(identifier)
    several = getattr(keras.optimizers, "MultiOptimizer", ())
    if optimizer is None or isinstance(optimizer, several):
        raise ValueError(
            "`inner_optimizer` must be one optimizer, such as "
            "`keras.optimizers.Adam(1e-3)`, or its name. Received: "
            f"inner_optimizer={identifier!r}"
        )
    for argument in ("loss_scale_factor", "gradient_accumulation_steps"):
        if getattr(optimizer, argument, None):
            raise ValueError(
                f"`inner_optimizer` must not have `{argument}`: the main "
                "gradient would not be that of the step. Received: "
                f"{argument}={getattr(optimizer, argument)}"
            )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "`inner_optimizer` must not scale losses. Wrap the other way "
            "round: `LossScaleOptimizer(CensoredUpdate(optimizer))`, which "
            "`compile` does by itself for mixed float16. Received: "
            f"inner_optimizer={identifier!r}"
        )
    return optimizer


def _find_rule(rule: Any) -> MainTaskAggregator | None:
    """The rule that a user named, with the gradient as its main task."""
    if rule is None:
        return None
    if isinstance(rule, str) and rule in RULES:
        return RULES[rule]("main")
    if not isinstance(rule, MainTaskAggregator):
        raise ValueError(
            "`rule` must be an aggregator with a main task, such as "
            '`keras_mtl.aggregators.Projection("main")`, None, or one of '
            f"{list(RULES)}. {did_you_mean(str(rule), RULES)}Received: "
            f"rule={rule!r}"
        )
    if index_of_main_task(rule.main_task, TASKS) != 0:
        raise ValueError(
            "The main task of `rule` must be 'main' (or 0), the gradient that "
            f"the optimizer is given. Received: main_task={rule.main_task!r}"
        )
    if rule.scope != "shared":
        raise ValueError(
            '`rule` must have `scope="shared"`: an optimizer has no heads. '
            f"Received: scope={rule.scope!r}"
        )
    return rule
