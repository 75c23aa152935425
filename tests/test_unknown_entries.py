"""Every dict by outputs or tasks is refused alike for a name that is none."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_auxiliary_branches
from keras_mtl import add_self_auxiliaries
from keras_mtl import aggregators
from keras_mtl import selection
from keras_mtl import weightings

pytestmark = pytest.mark.backend

X = np.ones((8, 4), "float32")
Y = {name: np.ones((8, 1), "float32") for name in ("left", "right")}
ONES = {"left": 1.0, "lfet": 1.0}
ARRAYS = {"left": np.ones(8), "lfet": np.ones(8)}


def functional(make=lambda outputs: outputs, cls=MultiTaskModel) -> keras.Model:
    inputs = keras.Input((4,))
    shared = layers.Dense(3, name="shared")(inputs)
    outputs = {name: layers.Dense(1, name=name)(shared) for name in Y}
    return cls(inputs, make(outputs))


def listed() -> keras.Model:
    return functional(lambda outputs: list(outputs.values()))


def nested() -> keras.Model:
    return functional(lambda outputs: {"what": outputs})


class Subclassed(MultiTaskModel):
    def __init__(self, as_list: bool = False):
        super().__init__()
        self.as_list = as_list
        self.shared = layers.Dense(3)
        self.heads = [layers.Dense(1) for _ in Y]

    def call(self, inputs):
        shared = self.shared(inputs)
        outputs = {name: head(shared) for name, head in zip(Y, self.heads)}
        return list(outputs.values()) if self.as_list else outputs


MODELS = {"functional": functional, "listed": listed, "subclassed": Subclassed}
COMPILED = {
    "loss": {"loss": {"left": "mse", "lfet": "mse"}},
    "loss_weights": {"loss_weights": ONES},
    "metrics": {"metrics": {"lfet": ["mae"]}},
    "weighted_metrics": {"weighted_metrics": {"lfet": ["mae"]}},
    "missing_label": {"missing_label": {"lfet": -1}},
    "regression_tasks": {"weighting": weightings.Uncertainty(["lfet"])},
    "schedules": {"weighting": weightings.Schedule(ONES)},
    "task_weights": {"weighting": weightings.SVDWeights(ONES)},
    "preference": {"weighting": weightings.STCH(preference=ONES)},
    "nadir": {"weighting": weightings.STCH(nadir=ONES)},
    "reference": {"weighting": weightings.Tchebycheff(reference=ONES)},
    "min_losses": {"weighting": weightings.FAMO(min_losses=ONES)},
}
FITTED = {
    "y": {"y": {**Y, "lfet": Y["left"]}},
    "sample_weight": {"sample_weight": ARRAYS},
    "class_weight": {"class_weight": {"lfet": {0: 1.0}}},
}


def refused(argument: str, kind: str = "(outputs|tasks)") -> pytest.RaisesExc:
    pattern = (
        rf"^`{re.escape(argument)}` has entries \['lfet'\] that are no {kind}"
        r".*Did you mean 'left'\? The .* are .*'left'"
        rf".*Received: {re.escape(argument)} with entries .*'lfet'"
    )
    return pytest.raises(ValueError, match=pattern)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("argument", [*COMPILED, *FITTED])
def test_models_refuse_it(make, argument):
    model = make()
    compiled = {"loss": dict.fromkeys(Y, "mse"), "aggregator": "sum"}
    if isinstance(model, Subclassed) and argument in ("y", "sample_weight"):
        compiled["loss"] = "mse"
    arguments = {"x": X, "y": Y, "verbose": 0} | FITTED.get(argument, {})
    if argument in ("preference", "nadir", "reference", "min_losses"):
        # A method serves one model.
        weighting = COMPILED[argument]["weighting"]
        compiled["weighting"] = type(weighting).from_config(
            weighting.get_config()
        )
    elif argument in COMPILED:
        compiled |= COMPILED[argument]
    with refused(argument):
        model.compile("sgd", **compiled)
        model.fit(**arguments)


@pytest.mark.parametrize("argument", ["loss", "metrics", "loss_weights"])
def test_nested_outputs(argument):
    inner = {"loss": ONES, "metrics": {"lfet": "mae"}, "loss_weights": ONES}
    compiled = {"loss": {"what": dict.fromkeys(Y, "mse")}}
    compiled[argument] = {"what": inner[argument]}
    with refused(f"{argument}['what']", "outputs of the model"):
        nested().compile("sgd", **compiled, aggregator="sum")


@pytest.mark.parametrize("argument", ["loss", "metrics", "sample_weight"])
def test_outputs_without_names(argument):
    model = Subclassed(as_list=True)
    given = {"loss": dict.fromkeys(Y, "mse"), "metrics": {"left": ["mae"]}}
    compiled = {"loss": ["mse", "mse"], "aggregator": "sum"}
    if argument in given:
        compiled[argument] = given[argument]
    fitted = {}
    if argument == "sample_weight":
        fitted = {"sample_weight": {"left": np.ones(8)}}
    model.compile("sgd", **compiled)
    pattern = rf"`{argument}` has entries .*no names: return a dict from `call`"
    with pytest.raises(ValueError, match=pattern):
        model.fit(X, list(Y.values()), verbose=0, **fitted)


@pytest.mark.parametrize("aggregator", ["sum", None])
@pytest.mark.parametrize("by_name", ["y", "loss", "both"])
def test_labels_of_outputs_without_names(by_name, aggregator):
    model = Subclassed(as_list=True)
    loss = ["mse", "mse"] if by_name == "y" else dict.fromkeys(Y, "mse")
    model.compile("sgd", loss, aggregator=aggregator)
    argument = "loss" if by_name == "loss" else "y"
    pattern = rf"`{argument}` has entries .*no names: return a dict from `call`"
    with pytest.raises(ValueError, match=pattern):
        y = list(Y.values()) if by_name == "loss" else Y
        model.fit(X, y, verbose=0)


def test_one_output_without_a_name():
    class One(Subclassed):
        def call(self, inputs):
            return super().call(inputs)["left"]

    model = One()
    model.compile("sgd", loss="mse")
    for kwargs in (
        {"y": Y["left"], "sample_weight": {"left": np.ones(8)}},
        {"y": {"left": Y["left"]}},
    ):
        with pytest.raises(ValueError, match="no names: return a dict"):
            model.fit(X, verbose=0, **kwargs)


@pytest.mark.parametrize(
    "weights",
    [
        {"sample_weight": {"right": np.ones(8)}},
        {"class_weight": {"right": {0: 1.0}}},
    ],
    ids=["sample_weight", "class_weight"],
)
def test_weights_of_an_output_without_labels(weights):
    model = Subclassed()
    model.compile("sgd", loss={"left": "mse"}, aggregator=None)
    with pytest.raises(ValueError, match=r"\['right'\] that are no outputs wi"):
        model.fit(X, {"left": Y["left"]}, **weights, verbose=0)


@pytest.mark.parametrize("argument", ["activation", "tasks"])
def test_auxiliaries_refuse_it(argument):
    given = {"activation": {"lfet": "linear"}, "tasks": ["lfet"]}[argument]
    with refused(argument):
        add_self_auxiliaries(functional(), "shared", **{argument: given})


def test_branches_refuse_it():
    with refused("head"):
        add_auxiliary_branches(
            functional(), ["shared"], head={"lfet": layers.Dense(1)}
        )


def test_mixed_datasets_refuse_it():
    data = {name: (X, labels) for name, labels in Y.items()}
    with refused("ratios"):
        selection.mix_datasets(data, {"left": 1, "lfet": 1}, batch_size=4)
    with refused("missing_label"):
        missing = {"left": -1.0, "right": -1.0, "lfet": -1.0}
        selection.mix_datasets(
            data, {"left": 1}, batch_size=4, missing_label=missing
        )


def test_a_main_task_is_asked_for():
    with pytest.raises(ValueError, match="Did you mean 'left'"):
        functional().compile(
            "sgd",
            loss=dict.fromkeys(Y, "mse"),
            aggregator=aggregators.Projection("lfet"),
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
