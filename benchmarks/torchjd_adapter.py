"""keras_mtl's methods under the names and calling conventions of TorchJD.

A class of TorchJD keeps its constructor, its attributes and its `repr`; what it
computes is exchanged. Tensors of PyTorch go in and come out, without gradients,
and the attributes are read anew in every call. What only steers TorchJD's
iterations and regularisation (`epsilon`, `max_iters`, `norm_eps`, `reg_eps`,
`optim_niter`, `update_weights_every`) has no counterpart and is not read.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_mtl import aggregators
from keras_mtl import testing
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo

# Key of our method in the dictionary of a module of TorchJD. There PyTorch does
# not look for parameters.
_HELD = "_keras_mtl"
# Attributes of TorchJD that mirror the memory of our method.
_MEMORY = {
    "GradVacWeighting": ("_phi_t", "targets"),
    "CRMOGMWeighting": ("_lambda", "averages"),
}
# What was compiled, by method and shape.
_FUNCTIONS: dict[Any, Callable] = {}
# Names of the classes of TorchJD in which ours were called.
calls: set[str] = set()


def _list(tensor: Any, default: list[float] | None) -> list[float] | None:
    return default if tensor is None else tensor.detach().cpu().tolist()


def _seed() -> int:
    """A seed that `torch.manual_seed` fixes."""
    import torch

    return int(torch.randint(2**31 - 1, ()))


# From a module of TorchJD and the number of tasks to a method of ours that
# takes inner products, or all gradients.
OF_GRAMS: dict[str, Callable[[Any, int], aggregators.Aggregator]] = {
    # TorchJD prefers all tasks by 1 / T.
    "AlignedMTLWeighting": lambda w, n: aggregators.AlignedMTL(
        w.scale_mode, preference=_list(w.pref_vector, [1 / n] * n)
    ),
    "CAGradWeighting": lambda w, n: aggregators.CAGrad(c=w.c),
    "DualProjWeighting": lambda w, n: aggregators.DualProj(
        preference=_list(w.pref_vector, None)
    ),
    "FairGradWeighting": lambda w, n: aggregators.FairGrad(alpha=w.alpha),
    "GradVacWeighting": lambda w, n: aggregators.GradVac(
        beta=w.beta, seed=_seed()
    ),
    "IMTLGWeighting": lambda w, n: aggregators.IMTLG(),
    "KrumWeighting": lambda w, n: aggregators.Krum(w.n_byzantine, w.n_selected),
    "MGDAWeighting": lambda w, n: aggregators.MGDA(),
    "PCDWeighting": lambda w, n: aggregators.PCD(0, w.tau, w.beta),
    "PCGradWeighting": lambda w, n: aggregators.PCGrad(seed=_seed()),
    "UPGradWeighting": lambda w, n: aggregators.UPGrad(
        preference=_list(w.pref_vector, None)
    ),
}
OF_MATRICES: dict[str, Callable[[Any, int], aggregators.Aggregator]] = {
    "ConstantWeighting": lambda w, n: aggregators.Constant(
        _list(w.weights, [])
    ),
    "MeanWeighting": lambda w, n: aggregators.Mean(),
    "RandomWeighting": lambda w, n: aggregators.Random(seed=_seed()),
    "SumWeighting": lambda w, n: aggregators.Sum(),
    "_NashMTLWeighting": lambda w, n: aggregators.NashMTL(w.max_norm or None),
}
OF_ROWS: dict[str, Callable[[Any, int], aggregators.Aggregator]] = {
    "ConFIG": lambda a, n: aggregators.ConFIG(
        preference=_list(a.pref_vector, None)
    ),
    "GradDrop": lambda a, n: aggregators.GradDrop(
        leak=_list(a.leak, None), seed=_seed()
    ),
    "TrimmedMean": lambda a, n: aggregators.TrimmedMean(a.trim_number),
}


def install(aggregation: Any) -> list[str]:
    """Exchanges what TorchJD's classes compute for what ours do.

    Args:
        aggregation: The package `torchjd.aggregation`.

    Returns:
        Names of the classes exchanged.
    """
    forwards = {
        **{name: _of_gram(make) for name, make in OF_GRAMS.items()},
        **{name: _of_matrix(make) for name, make in OF_MATRICES.items()},
        **{name: _of_rows(make) for name, make in OF_ROWS.items()},
        "CRMOGMWeighting": _cr_mogm,
        "ExcessMTLWeighting": _excess_mtl,
        "MoDoWeighting": _mo_do,
        "SDMGradWeighting": _sdm_grad,
    }
    exchanged = []
    for name, forward in forwards.items():
        cls = getattr(aggregation, name, None)
        if name == "_NashMTLWeighting":
            cls = getattr(aggregation._nash_mtl, name)
        if cls is None:
            # A version of TorchJD that does not have it.
            continue
        _exchange(cls, forward)
        exchanged.append(name)
    return exchanged


def _exchange(cls: type, forward: Callable[[Any, Any], Any]) -> None:
    def exchanged(self: Any, stat: Any, /) -> Any:
        calls.add(cls.__name__)
        result = np.array(ops.convert_to_numpy(forward(self, _numpy(stat))))
        _mirror(self, stat)
        return stat.detach().new_tensor(result)

    cls.forward = exchanged
    if hasattr(cls, "reset"):
        cls.reset = _forgetting(cls.reset)


def _forgetting(reset: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(reset)
    def reset_both(self: Any) -> None:
        vars(self).pop(_HELD, None)
        reset(self)

    return reset_both


def _mirror(module: Any, stat: Any) -> None:
    """Shows what our method remembers where TorchJD's would have it."""
    theirs, ours = _MEMORY.get(type(module).__name__, ("", ""))
    if theirs:
        held = getattr(vars(module)[_HELD][1], ours)
        value = np.array(ops.convert_to_numpy(held))
        setattr(module, theirs, stat.detach().new_tensor(value))


def _numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _held(module: Any, made: aggregators.Aggregator) -> Any:
    """The method of the calls before, so that it remembers, if it is as made.

    With other tasks or other hyper-parameters it starts anew, as TorchJD's.
    """
    config = made.get_config()
    config.pop("seed", None)
    found, method = vars(module).get(_HELD, (None, None))
    if found != config:
        method = made
        vars(module)[_HELD] = (config, method)
    return method


def _of_gram(make: Callable) -> Callable[[Any, np.ndarray], Any]:
    def forward(module: Any, gram: np.ndarray) -> Any:
        made = make(module, len(gram))
        made.build_for(gram)
        if made.variables:
            return _held(module, made).update(gram)
        return _compiled(made, gram.shape)(ops.convert_to_tensor(gram))

    return forward


def _compiled(method: aggregators.Aggregator, shape: tuple) -> Callable:
    """Its weights, compiled once for all methods made alike.

    The solvers are loops, which take seconds one operation at a time.
    """
    key = (type(method), repr(method), shape)
    if key not in _FUNCTIONS:
        _FUNCTIONS[key] = testing.compiled(method.weights, jit_compile=False)
    return _FUNCTIONS[key]


def _of_matrix(make: Callable) -> Callable[[Any, np.ndarray], Any]:
    def forward(module: Any, matrix: np.ndarray) -> Any:
        return make(module, len(matrix)).weights(matrix @ matrix.T)

    return forward


def _of_rows(make: Callable) -> Callable[[Any, np.ndarray], Any]:
    def forward(module: Any, matrix: np.ndarray) -> Any:
        return make(module, len(matrix))(matrix)

    return forward


class _Smoothed(aggregators.Aggregator):
    """A weighting of TorchJD, as `CRMOGM` wants what it wraps."""

    weighting: Any = None
    stat: Any = None

    def weights(self, gram: Any) -> Any:
        return ops.convert_to_tensor(_numpy(self.weighting(self.stat)))

    def get_config(self) -> dict[str, Any]:
        return {"weighting": id(self.weighting), **super().get_config()}


def _cr_mogm(module: Any, stat: np.ndarray) -> Any:
    import torch

    inner = _Smoothed()
    inner.weighting = module.weighting
    made = aggregators.CRMOGM(inner, decay=module.alpha)
    config = {"decay": module.alpha}
    found, method = vars(module).get(_HELD, (None, made))
    if found != config:
        vars(module)[_HELD] = (config, made)
        method = made
    method.aggregator.stat = torch.from_numpy(stat)
    return method.update(stat @ stat.T)


def _excess_mtl(module: Any, matrix: np.ndarray) -> Any:
    made = aggregators.ExcessMTL(
        module.robust_step_size, max(module.n_warmup_steps, 1)
    )
    found, method = vars(module).get(_HELD, (None, None))
    config = {**made.get_config(), "shape": matrix.shape}
    if found != config:
        method = made
        method.build(GradientSpec(len(matrix), (), (matrix.shape[1:],)))
        vars(module)[_HELD] = (config, method)
    rows = np.array(
        [
            ops.convert_to_numpy(row)
            for row in method.transform([list(matrix)], StepInfo())[0]
        ]
    )
    weights = method.update(rows @ rows.T)[: len(matrix)]
    # TorchJD's sum to one.
    return ops.convert_to_numpy(weights)


def _moved(module: Any, made: Any, products: np.ndarray) -> Any:
    """A step of the weights, from inner products of two batches."""
    count = len(products)
    config = {**made.get_config(), "tasks": count}
    found, held = vars(module).get(_HELD, (None, None))
    if found != config:
        held = np.full(count, 1 / count, products.dtype)
    norms = np.sqrt(np.maximum(np.diagonal(products), 0.0))
    moved = made.moved_weights(
        *(ops.convert_to_tensor(a) for a in (held, products, norms)),
        ops.ones((count,), "bool"),
    )
    held = ops.convert_to_numpy(moved)
    vars(module)[_HELD] = (config, held)
    return made.update_weights(ops.convert_to_tensor(held))


def _mo_do(module: Any, products: np.ndarray) -> Any:
    made = aggregators.MoDo(gamma=module.gamma, rho=module.rho)
    return _moved(module, made, products)


def _sdm_grad(module: Any, products: np.ndarray) -> Any:
    made = aggregators.SDMGrad(
        module.lambda_,
        module.lr,
        module.momentum,
        module.n_iter,
        preference=_list(module.pref_vector, None),
    )
    return _moved(module, made, products)
