"""Mistakes: each says which argument is wrong and what to do about it.

One table of mistakes, then the odd cases whose result is documented instead.
"""

import inspect
import re
import typing
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from keras_mtl import weightings

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
QUICK = {"run_eagerly": True} if ON_TENSORFLOW else {}
LOSS = {"a": keras.losses.SparseCategoricalCrossentropy(True), "b": "mse"}
X = np.ones((8, 4), "float32")
Y = {"a": np.arange(8) % 3, "b": np.ones((8, 1), "float32")}
MISTAKES: list[Any] = []


def mistake(
    text: str, error: type[Exception] = ValueError
) -> Callable[[Callable], Callable]:
    """Registers a mistake with the words, in order, that its error has."""
    pattern = ".*".join(map(re.escape, text.split(" ... ")))

    def register(function: Callable) -> Callable:
        name = function.__name__
        MISTAKES.append(pytest.param(function, error, pattern, id=name))
        return function

    return register


def make_model(cls: type = MultiTaskModel) -> keras.Model:
    inputs = keras.Input((4,))
    shared = layers.Dense(3, name="shared")(inputs)
    last = layers.Dense(3, name="last")(shared)
    outputs = {
        "a": layers.Dense(3, name="a")(last),
        "b": layers.Dense(1, name="b")(last),
    }
    return cls(inputs, outputs)


class Subclassed(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.shared = layers.Dense(3)
        self.tasks = [layers.Dense(3), layers.Dense(1)]

    def call(self, inputs):
        shared = self.shared(inputs)
        return {
            name: head(shared)
            for name, head in zip("ab", self.tasks, strict=True)
        }


def compiled(model: Any = None, **arguments: Any) -> keras.Model:
    model = model or make_model()
    model.compile(**{"optimizer": "sgd", "loss": LOSS, **QUICK} | arguments)
    return model


def fit(model: Any = None, data: tuple = (X, Y), **arguments: Any) -> Any:
    names = ("class_weight", "sample_weight")
    kwargs = {k: arguments.pop(k) for k in names if k in arguments}
    model = compiled(model, **arguments)
    return model.fit(*data, verbose=0, **kwargs)


# -- aggregator and weighting -------------------------------------------------


@mistake("Unknown aggregator. Did you mean 'pcgrad'? ... aggregator='pcgard'")
def aggregator_with_unknown_name():
    compiled(aggregator="pcgard")


@mistake("`aggregator` must be an instance ... `PCGrad(...)`")
def aggregator_as_class():
    compiled(aggregator=aggregators.PCGrad)


@mistake("`aggregator` must be ... Received: aggregator=3")
def aggregator_of_wrong_type():
    compiled(aggregator=3)


@mistake("Write `keras_mtl.aggregators.Projection(main_task=...)`")
def projection_by_name_has_no_main_task():
    compiled(aggregator="projection")


@mistake("`main_task` must be one of ... ['a', 'b'] ... main_task='left'")
def main_task_not_in_loss():
    compiled(aggregator=aggregators.Projection("left"))


@mistake("`main_task` must be one of ... index below 2 ... main_task=2")
def main_task_index_too_large():
    compiled(aggregator=aggregators.Orthogonal(2))


@mistake("`main_task` must be ... main_task=None")
def main_task_of_wrong_type():
    aggregators.UnweightedCosine(None)


@mistake("tasks are not known yet ... main_task='a' ... build(task_names)")
def main_task_by_name_before_the_tasks_are_known():
    aggregators.WeightedCosine("a").weights(np.eye(2))


@mistake("`granularity` must be one of ... 'layer' ... granularity='layers'")
def granularity_unknown():
    aggregators.MGDA(granularity="layers")


@mistake("`smoothing` must be a number above 0 ... smoothing=0")
def smoothing_of_zero():
    aggregators.Projection("a", smoothing=0)


@mistake("`smoothing` must be ... at most 1 ... smoothing=1.5")
def smoothing_above_one():
    aggregators.Projection("a", smoothing=1.5)


@mistake("`normalization` must be one of ... 'loss+' ... 'l1'")
def normalization_unknown():
    aggregators.MGDA(normalization="l1")


@mistake("`seed` must be an integer or None ... seed='zero'")
def seed_of_wrong_type():
    aggregators.PCGrad(seed="zero")


@mistake("must override `weights(self, gram)` ... `combine", TypeError)
def aggregator_without_a_method():
    class Nothing(aggregators.Aggregator):
        pass

    Nothing()


@mistake("`gram` must hold square matrices ... (2, 3)")
def gram_not_square():
    aggregators.PCGrad().weights(np.ones((2, 3)))


@mistake("divides by the losses ... weights(gram, losses)")
def mgda_without_the_losses():
    aggregators.MGDA("loss").weights(np.eye(2))


@mistake("`OneTooFew.weights(gram)` should return one weight a task ... (1, 1)")
def own_aggregator_with_too_few_weights():
    class OneTooFew(aggregators.Aggregator):
        def weights(self, gram):
            return keras.ops.ones_like(gram[..., 0, 1:])

    fit(aggregator=OneTooFew())


@mistake("`OneTooFew.combine(jacobian)` should return one gradient")
def own_aggregator_with_too_short_a_gradient():
    class OneTooFew(aggregators.Aggregator):
        sees = "gradients"

        def combine(self, jacobian, step):
            return keras.ops.sum(jacobian, axis=0)[1:]

    fit(aggregator=OneTooFew())


@mistake("Unknown weighting. Did you mean 'uncertainty'? ... 'uncertain'")
def weighting_with_unknown_name():
    compiled(weighting="uncertain")


@mistake("Unknown aggregator. Did you mean weighting='uncertainty'?")
def weighting_with_unknown_name_as_aggregator():
    compiled(aggregator="uncertanty")


@mistake("PCGrad is an aggregator. Pass it as `aggregator=...` ... PCGrad(")
def aggregator_as_weighting():
    compiled(weighting=aggregators.PCGrad())


@mistake("PCGrad is an aggregator ... `aggregator=...` ... weighting='pcgrad'")
def aggregator_as_weighting_by_name():
    compiled(weighting="pcgrad")


@mistake("Uncertainty is a weighting. Pass it as `weighting=...` to `compile`")
def weighting_as_aggregator_by_name():
    compiled(aggregator="uncertainty")


@mistake("GradNorm is a weighting. Pass it as `weighting=...` to `compile`")
def weighting_as_aggregator_as_class():
    compiled(aggregator=weightings.GradNorm)


@mistake("OLAUX is a weighting. Pass it as `weighting=...` to `compile`")
def weighting_as_aggregator_as_config():
    compiled(aggregator=weightings.serialize(weightings.OLAUX("a")))


@mistake("`aggregator` is an argument of `compile` ... in `fit`", TypeError)
def aggregator_in_fit():
    compiled().fit(X, Y, aggregator="pcgrad")


@mistake("`weighting` is an argument of `compile` ... `evaluate`", TypeError)
def weighting_in_evaluate():
    compiled().evaluate(X, Y, weighting="uncertainty")


@mistake("`missing_label` is an argument of `compile`", TypeError)
def missing_label_in_train_on_batch():
    compiled().train_on_batch(X, Y, missing_label=-1)


@mistake("`representation` is an argument of ... `test_on_batch`", TypeError)
def representation_in_test_on_batch():
    compiled().test_on_batch(X, Y, representation="shared")


@mistake("`aggregator` is an argument of ... in `predict`", TypeError)
def aggregator_in_predict():
    compiled().predict(X, aggregator="pcgrad")


@mistake("`aggregator` is an argument ... in the constructor", TypeError)
def aggregator_in_the_constructor():
    model = make_model()
    MultiTaskModel(model.input, model.output, aggregator="pcgrad")


@mistake("`weighting` is an argument ... in the constructor", TypeError)
def weighting_in_the_constructor_of_a_subclass():
    class Own(MultiTaskModel):
        def __init__(self):
            super().__init__(weighting="uncertainty")

    Own()


@mistake("`regression_tasks` ... ['depth'] ... no tasks ... ['a', 'b']")
def uncertainty_of_an_unknown_task():
    compiled(weighting=weightings.Uncertainty(["depth"]))


@mistake("`regression_tasks` should be a sequence ... ['b']")
def uncertainty_of_a_string():
    weightings.Uncertainty("b")


@mistake("`learning_rate` must be a number above 0 ... -1")
def uncertainty_with_negative_learning_rate():
    weightings.Uncertainty(learning_rate=-1)


@mistake("`min_log_variance` should be less than `max_log_variance`")
def uncertainty_with_crossed_bounds():
    weightings.Uncertainty(min_log_variance=1.0, max_log_variance=-1.0)


@mistake("already belongs to the model ... new instance for each model")
def one_aggregator_in_two_models():
    rule = aggregators.PCGrad()
    first = compiled(aggregator=rule)
    compiled(aggregator=rule)
    del first


@mistake("already belongs to the model ... new instance for each model")
def one_weighting_in_two_models_built_later():
    rule = weightings.Uncertainty()
    first = compiled(Subclassed(), weighting=rule)
    second = compiled(Subclassed(), weighting=rule)
    first.fit(X, Y, verbose=0)
    second.fit(X, Y, verbose=0)


# -- the tasks and the model --------------------------------------------------


@mistake("aggregator ... `loss` is None. Give a loss for each task")
def aggregator_without_loss():
    compiled(loss=None, aggregator="pcgrad")


STRINGS = {**Y, "a": np.array(["cat", "dog"] * 4)}


@mistake("labels of the task 'a' are strings ... unique(labels ... 'cat'")
def labels_that_are_strings():
    fit(data=(X, STRINGS), metrics={"b": "mae"}, aggregator="pcgrad")


@mistake("labels of the task 'a' are strings ... unique(labels ... 'cat'")
def labels_that_are_strings_as_objects():
    objects = {**Y, "a": STRINGS["a"].astype(object)}
    compiled(aggregator="pcgrad").evaluate(x=X, y=objects, verbose=0)


@mistake("labels of the task 'a' are strings ... StringLookup")
def labels_of_a_subclassed_model_that_are_strings():
    compiled(Subclassed(), aggregator="pcgrad").train_on_batch(X, STRINGS)


@mistake("labels of the task 'b' are strings ... StringLookup")
def labels_in_a_list_that_are_strings():
    inputs = keras.Input((4,))
    shared = layers.Dense(3)(inputs)
    heads = [layers.Dense(1, name=name)(shared) for name in "ab"]
    model = compiled(MultiTaskModel(inputs, heads), loss=["mse", "mse"])
    model.fit(X, [Y["b"], STRINGS["a"]], verbose=0)


@mistake("labels of the task 'a' are strings ... StringLookup")
def labels_in_a_dataset_that_are_strings():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, STRINGS)).batch(4)
    compiled(aggregator="pcgrad").fit(dataset, verbose=0)


@mistake("No variable is reached by two or more tasks ... aggregator=None")
def no_shared_variable():
    inputs = keras.Input((4,))
    outputs = {
        "a": layers.Dense(3, name="a")(inputs),
        "b": layers.Dense(1, name="b")(inputs),
    }
    fit(MultiTaskModel(inputs, outputs), aggregator="pcgrad")


@mistake("No variable is reached by two or more tasks ... aggregator=None")
def one_task_with_an_aggregator():
    fit(loss={"a": LOSS["a"]}, aggregator="mgda")


@mistake("outputs ['b'] have no loss: give them one each ... ['a']")
def one_output_without_a_loss():
    compiled(loss={"a": LOSS["a"], "b": None}, aggregator="pcgrad")


@mistake("outputs ['1'] have no loss: give them one each")
def one_output_of_a_subclassed_model_without_a_loss():
    class Pair(Subclassed):
        def call(self, inputs):
            return list(super().call(inputs).values())

    labels = [np.ones((8, 3)), Y["b"]]
    fit(Pair(), (X, labels), loss=["mse", None], aggregator="mgda")


@mistake("12 columns of the output 'labels' ... losses.PerColumn(loss)")
def one_output_of_several_labels():
    inputs = keras.Input((4,))
    labels = layers.Dense(12, name="labels")(layers.Dense(3)(inputs))
    model = MultiTaskModel(inputs, labels)
    compiled(model, loss="binary_crossentropy", aggregator="pcgrad")


@mistake("`compute_loss` of your own must call `super().compute_loss")
def compute_loss_without_task_losses():
    class Own(MultiTaskModel):
        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            return keras.ops.mean(y_pred["b"])

    fit(make_model(Own), aggregator="sum")


@mistake("`loss` has entries ['c'] ... no outputs ... ['a', 'b']")
def loss_of_an_unknown_output():
    fit(loss={**LOSS, "c": "mse"}, aggregator="sum")


@mistake("Could not locate class 'Unregistered'", TypeError)
def loading_a_class_that_is_not_registered():
    class Unregistered(aggregators.Sum):
        pass

    config = aggregators.serialize(Unregistered())
    aggregators.deserialize(config)


# -- representation -----------------------------------------------------------


@mistake("`representation` should name one layer ... none ... 'trunk'")
def representation_unknown():
    compiled(aggregator="mgda", representation="trunk")


@mistake("`representation` should be the name of a layer ... 1")
def representation_of_wrong_type():
    compiled(aggregator="mgda", representation=1)


@mistake("`representation` is no tensor of this model")
def representation_of_another_model():
    other = make_model().get_layer("shared").output
    compiled(aggregator="mgda", representation=other)


@mistake("`representation` is no layer of this model")
def representation_as_a_layer_of_another_model():
    other = make_model().get_layer("shared")
    compiled(aggregator="mgda", representation=other)


@mistake("`norm_layer` must be the name of a layer ... `layer.name`")
def norm_layer_as_a_layer():
    layer = make_model().get_layer("shared")
    weightings.GradNorm(norm_layer=layer)


@mistake("`norm_layer` should name one layer of the model")
def norm_layer_unknown():
    fit(weighting=weightings.GradNorm(norm_layer="sharde"))


@mistake("`representation` says ... `aggregator` is None")
def representation_without_aggregator():
    compiled(representation="shared")


@mistake("`representation` and Projection ... exclude ... `smoothing=1.0`")
def representation_with_smoothing():
    rule = aggregators.Projection("a")
    compiled(aggregator=rule, representation="shared")


@mistake("'shared' is no cut ... ['b'] ... through it and around it")
def representation_passed_by():
    inputs = keras.Input((4,))
    first = layers.Dense(3, name="first")(inputs)
    shared = layers.Dense(3, name="shared")(first)
    outputs = {
        "a": layers.Dense(3, name="a")(shared),
        "b": layers.Dense(1, name="b")(layers.Add()([shared, first])),
    }
    model = MultiTaskModel(inputs, outputs)
    fit(model, aggregator="mgda", representation="shared")


@mistake("share the variable 'last/kernel' above ... 'shared' ... last layer")
def representation_below_the_last_shared_layer():
    fit(aggregator="mgda", representation="shared")


@mistake("'a' leads to less than two tasks")
def representation_of_one_task():
    fit(aggregator="mgda", representation="a")


@mistake("'shared' is computed more than once")
def representation_called_twice():
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    outputs = {
        "a": layers.Dense(3, name="a")(shared(inputs)),
        "b": layers.Dense(1, name="b")(shared(shared(inputs))),
    }
    model = MultiTaskModel(inputs, outputs)
    fit(model, aggregator="mgda", representation="shared")


@mistake("'idle' is not computed in the forward pass")
def representation_never_called():
    model = Subclassed()
    model.idle = layers.Dense(3, name="idle")
    fit(model, aggregator="mgda", representation="idle")


# -- weights and labels -------------------------------------------------------


@mistake("`loss_weights` should be finite numbers from 0 up ... -1.0")
def loss_weight_below_zero():
    compiled(loss_weights={"a": 1.0, "b": -1.0}, aggregator="sum")


@mistake("`loss_weights` should be numbers ... a variable ... `weighting`")
def loss_weight_that_may_change():
    weights = {"a": 1.0, "b": keras.Variable(2.0)}
    compiled(loss_weights=weights, aggregator="sum")


@mistake("argument 'aggregater'. Did you mean 'aggregator'?", TypeError)
def argument_of_compile_misspelt():
    compiled(aggregater="pcgrad")


@mistake("argument 'loss_weight'. Did you mean 'loss_weights'?", TypeError)
def argument_of_keras_misspelt():
    compiled(loss_weight=[1.0, 2.0])


@mistake("'sample_weigth'. Did you mean 'sample_weight'?", TypeError)
def argument_of_fit_misspelt():
    compiled().fit(X, Y, sample_weigth={"a": np.ones(8)})


@mistake("unexpected keyword argument 'qqq'", TypeError)
def argument_like_no_other():
    compiled(qqq=1)


@mistake("`loss_weights` should be finite numbers from 0 up ... nan")
def loss_weight_nan():
    compiled(loss_weights={"a": float("nan"), "b": 1.0})


@mistake("`loss_weights` should be finite numbers from 0 up ... high")
def loss_weight_of_wrong_type():
    compiled(loss_weights={"a": "high", "b": 1.0})


@mistake("`loss_weights` has entries ['c'] ... no tasks ... ['a', 'b']")
def loss_weight_of_an_unknown_task():
    compiled(loss_weights={"a": 1.0, "c": 1.0})


@mistake("`loss_weights` should have an entry ... ['a', 'b'] ... {'a'")
def loss_weights_of_some_tasks():
    compiled(loss_weights={"a": 1.0})


@mistake("`class_weight` has entries ['c'] ... no outputs ... ['a', 'b']")
def class_weight_of_an_unknown_output():
    fit(class_weight={"c": {0: 1.0}})


@mistake("`class_weight['a']` should be a dict from class")
def class_weight_that_is_no_dict():
    fit(class_weight={"a": [1.0, 2.0, 3.0]})


@mistake("`class_weight['a'][1]` should be a number from 0 up ... -2")
def class_weight_below_zero():
    fit(class_weight={"a": {0: 1.0, 1: -2.0}})


@mistake("`class_weight['a'][1]` should be a number from 0 up ... twice")
def class_weight_of_wrong_type():
    fit(class_weight={"a": {0: 1.0, 1: "twice"}})


@mistake("`class_weight['a']` should have class indices ... 'cat'")
def class_weight_of_a_class_name():
    fit(class_weight={"a": {"cat": 1.0}})


@mistake("`class_weight` ... output")
def class_weight_for_no_output():
    fit(class_weight={0: 1.0, 1: 2.0})


@mistake("`class_weight` ... output")
def class_weight_as_a_list():
    fit(class_weight=[1.0, 2.0, 1.0])


WEIGHTS = np.ones(8)


@mistake("`sample_weight` has entries ['c'] ... no outputs ... ['a', 'b']")
def sample_weight_of_an_unknown_output():
    fit(sample_weight={"a": WEIGHTS, "c": WEIGHTS})


@mistake("`sample_weight` has entries ['lft'] ... no outputs ... ['a', 'b']")
def sample_weight_of_nothing_but_an_unknown_output():
    fit(sample_weight={"lft": WEIGHTS}, aggregator="pcgrad")


@mistake("`sample_weight` has entries ['c'] ... no outputs ... ['a', 'b']")
def sample_weight_of_an_unknown_output_beside_all_others():
    fit(sample_weight={"a": WEIGHTS, "b": WEIGHTS, "c": WEIGHTS})


@mistake("`sample_weight` has entries ['c'] ... no outputs ... ['a', 'b']")
def sample_weight_of_an_unknown_output_in_one_batch():
    model = compiled(metrics={"a": ["accuracy"]}, missing_label={"a": -1})
    model.test_on_batch(X, Y, {"c": WEIGHTS})


@mistake("`sample_weight` has entries ['c'] ... no outputs ... ['a', 'b']")
def sample_weight_of_an_unknown_output_in_validation_data():
    compiled().fit(X, Y, validation_data=(X, Y, {"c": WEIGHTS}), verbose=0)


@mistake("`sample_weight` has entries ['c'] ... no outputs ... ['a', 'b']")
def sample_weight_of_an_unknown_output_in_a_dataset():
    import tensorflow as tf

    batch = X, Y, {"c": WEIGHTS}
    fit(data=(tf.data.Dataset.from_tensor_slices(batch).batch(4),))


@mistake("`metrics` has entries ['c'] ... no outputs ... ['a', 'b']")
def metrics_of_an_unknown_output():
    compiled(metrics={"c": ["mae"]}, aggregator="sum")


@mistake("`metrics` has entries ['c'] ... no outputs ... ['a', 'b']")
def metrics_of_an_unknown_output_of_a_stock_model():
    fit(metrics={"c": ["mae"]})


@mistake("`loss` has entries ['c'] ... no outputs ... ['a', 'b']")
def loss_of_an_unknown_output_of_a_stock_model():
    fit(loss={**LOSS, "c": "mse"})


@mistake("`weighted_metrics` has entries ['c'] ... no outputs ... ['a', 'b']")
def weighted_metrics_of_an_unknown_output():
    fit(Subclassed(), weighted_metrics={"c": ["mae"]})


@mistake("`metrics` has entries ['b'] of outputs that have no labels")
def metrics_of_an_output_without_labels():
    loss = {"a": LOSS["a"], "b": None}
    fit(loss=loss, data=(X, {"a": Y["a"]}), metrics={"b": ["mae"]})


@mistake("`loss` has entries ['c'] ... no outputs ... ['a', 'b']")
def loss_of_an_unknown_output_of_a_subclassed_model():
    fit(Subclassed(), loss={**LOSS, "c": "mse"})


@mistake("`loss_weights` has entries ['c'] ... no outputs ... ['a', 'b']")
def loss_weight_of_an_unknown_output_beside_a_list():
    compiled(loss=list(LOSS.values()), loss_weights={"a": 1.0, "c": 2.0})


@mistake("`metrics` has entries ['zz'] ... no outputs ... ['a']")
def metrics_of_an_unknown_output_where_there_is_one():
    inputs = keras.Input((4,))
    model = MultiTaskModel(inputs, layers.Dense(1, name="a")(inputs))
    compiled(model, loss="mse", metrics={"zz": ["mae"]}, missing_label=-1)


@mistake("`y` has entries ['c'] that are no outputs ... ['a', 'b']")
def labels_of_an_unknown_output():
    fit(data=(X, {**Y, "c": Y["b"]}))


@mistake("`missing_label` needs the loss of task 'b' ... Dice returns shape ()")
def missing_label_with_a_loss_of_the_batch():
    loss = {**LOSS, "b": keras.losses.Dice()}
    fit(loss=loss, missing_label=float("nan"))


@mistake("`missing_label` needs the metric 'mine' of 'b' ... returns shape ()")
def missing_label_with_a_metric_of_the_batch():
    def mine(y_true, y_pred):
        return keras.ops.mean(y_true - y_pred)

    fit(metrics={"b": [mine]}, missing_label=float("nan"))


@mistake("1 labels of 'c' are missing in part ... CategoricalCrossentropy")
def label_that_is_missing_in_part():
    inputs = keras.Input((4,))
    model = MultiTaskModel(inputs, layers.Dense(3, "softmax", name="c")(inputs))
    labels = np.eye(3)[Y["a"]]
    labels[2, 1] = np.nan
    loss = keras.losses.CategoricalCrossentropy()
    fit(model, data=(X, labels), loss=loss, missing_label=float("nan"))


@mistake("`missing_label` has entries ['c'] ... no outputs ... ['a', 'b']")
def missing_label_of_an_unknown_output():
    fit(missing_label={"c": -1})


@mistake("`missing_label` should be ... float('nan') ... missing_label='none'")
def missing_label_of_wrong_type():
    compiled(missing_label="none")


@mistake("`missing_label` ... -1 ... uint8")
def missing_label_that_the_labels_cannot_hold():
    labels = {**Y, "a": Y["a"].astype("uint8")}
    fit(data=(X, labels), missing_label={"a": -1})


@mistake("shape")
def labels_of_wrong_shape():
    labels = {**Y, "a": np.ones((8, 5), "int32")}
    fit(data=(X, labels), aggregator="sum")


@mistake("cardinality ... 'y' sizes")
def labels_of_wrong_number():
    labels = {name: label[:6] for name, label in Y.items()}
    fit(data=(X, labels), aggregator="sum")


@pytest.mark.parametrize("make, error, pattern", MISTAKES)
# By Keras, before our error, of the same mistakes.
@pytest.mark.filterwarnings(
    r"ignore:`build\(\)` was called on layer", "ignore:Gradients do not exist"
)
def test_is_explained(make, error, pattern):
    with pytest.raises(error) as caught:
        make()
    assert re.search(pattern, str(caught.value), re.DOTALL), caught.value
    # Not only what is wrong: what was received, or what to do.
    assert len(str(caught.value).split()) > 5


# What methods cannot do without.
NEEDED = {
    "main_task": 0,
    "weights": [1.0],
    "task_weights": {},
    "schedules": {},
}


def number_arguments() -> list[Any]:
    """A method, an argument that takes a number, and what it must refuse."""
    found = []
    for module in (aggregators, weightings):
        for cls in vars(module).values():
            if not inspect.isclass(cls):
                continue
            for parameter in inspect.signature(cls).parameters.values():
                kinds = typing.get_args(parameter.annotation)
                kinds = set(kinds or [parameter.annotation])
                if typing.get_origin(parameter.annotation) in (dict, Sequence):
                    continue
                if kinds & {int, float}:
                    values = [True, float("nan"), [None]]
                    values += [] if str in kinds else ["x"]
                    name = f"{cls.__name__}-{parameter.name}"
                    found.append(
                        pytest.param(cls, parameter.name, values, id=name)
                    )
    return found


@pytest.mark.parametrize("cls, argument, values", number_arguments())
def test_no_method_takes_for_a_number_what_is_none(cls, argument, values):
    needed = inspect.signature(cls).parameters.keys() & NEEDED.keys()
    arguments = {name: NEEDED[name] for name in needed}
    for value in values:
        with pytest.raises(ValueError, match=f"`{argument}` (must|should)"):
            cls(**{**arguments, argument: value})


@pytest.mark.parametrize("value", ["x", True, [], [True], ["1.0"], 1.0, [[1]]])
def test_constant_weights_are_numbers(value):
    with pytest.raises(ValueError, match="`weights` must be a sequence"):
        aggregators.Constant(value)


def test_there_are_number_arguments():
    assert len(number_arguments()) >= 40


class TestDocumentedResults:
    """Odd input that is no error; see also `test_model.py`."""

    def test_nan_in_the_data_shows_in_the_logs(self):
        x = X.copy()
        x[0] = np.nan
        with pytest.warns(UserWarning, match="became NaN or infinite"):
            history = fit(data=(x, Y), aggregator="mgda").history
        assert np.isnan(history["loss"][0]) and np.isnan(history["a_loss"][0])

    def test_no_label_at_all_is_a_loss_of_zero(self):
        labels = {
            "a": np.full(8, np.nan, "float32"),
            "b": np.full((8, 1), np.nan, "float32"),
        }
        model = make_model()
        before = model.get_weights()
        history = fit(
            model,
            (X, labels),
            aggregator="pcgrad",
            missing_label=float("nan"),
        ).history
        assert history["loss"] == history["a_loss"] == history["b_loss"] == [0]
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.filterwarnings("ignore:The file does not hold all")
    def test_a_method_that_is_not_the_saved_one_is_warned_of(self, tmp_path):
        path = tmp_path / "model.weights.h5"
        model = make_model()
        fit(model, aggregator=aggregators.PCGrad(seed=0))
        model.save_weights(path)
        other = compiled(aggregator=aggregators.Projection("a"))
        with pytest.warns(UserWarning, match="not compiled with"):
            other.load_weights(path)


def test_the_table_is_long_enough():
    assert len(MISTAKES) >= 25


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
