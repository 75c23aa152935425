"""Training steps of other libraries on the same network, in PyTorch.

PyTorch is imported only when a peer is asked for, and nothing else here needs
it: peers that are not installed are left out.
"""

import importlib.util
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.network import Network

PEERS = {
    "torch": "PyTorch, sum of the losses",
    "torchjd": "TorchJD, PCGrad",
    # LibMTL itself does not import with current torchvision.
    "libmtl": "LibMTL's procedure, PCGrad",
}
REQUIRED = {
    "torch": ("torch",),
    "torchjd": ("torch", "torchjd"),
    "libmtl": ("torch",),
}


def missing(peer: str) -> list[str]:
    """Packages that a peer needs and that are not installed."""
    return [
        package
        for package in REQUIRED[peer]
        if importlib.util.find_spec(package) is None
    ]


class Peer:
    """The network in PyTorch, and one way to train it.

    Args:
        peer: A key of `PEERS`.
        network: What to build.
        weights: Kernels and biases of a Keras model of the same network, in
            its order.
        optimizer: "adam" or "sgd", with the defaults of Keras.
    """

    def __init__(
        self,
        peer: str,
        network: Network,
        weights: list[np.ndarray],
        optimizer: str,
    ):
        import torch

        # As TensorFlow and JAX do by default on a GPU.
        torch.set_float32_matmul_precision("high")
        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        layers = [
            self._dense(kernel, bias)
            for kernel, bias in zip(weights[::2], weights[1::2], strict=True)
        ]
        trunk = []
        for layer in layers[: network.depth]:
            trunk += [layer, torch.nn.ReLU()]
        self.trunk = torch.nn.Sequential(*trunk)
        heads = layers[network.depth :]
        if network.head_units:
            # Keras lists the hidden layers of all heads, then all outputs.
            heads = [
                torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
                for hidden, output in zip(
                    heads[: network.num_tasks],
                    heads[network.num_tasks :],
                    strict=True,
                )
            ]
        self.heads = heads
        self.parameters = [p for layer in layers for p in layer.parameters()]
        self.optimizer = {
            "adam": lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-7),
            "sgd": lambda p: torch.optim.SGD(p, lr=1e-2),
        }[optimizer](self.parameters)
        x, labels = network.batch()
        self.x = torch.tensor(x, device=self.device)
        self.labels = [
            torch.tensor(label, device=self.device) for label in labels.values()
        ]
        self.take_gradients: Callable[[], None] = {
            "torch": self._sum_gradients,
            "torchjd": self._torchjd_gradients,
            "libmtl": self._libmtl_gradients,
        }[peer]

    def step(self) -> None:
        """Trains one step on the same batch and waits for it."""
        self.optimizer.zero_grad()
        self.take_gradients()
        self.optimizer.step()
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def get_weights(self) -> list[np.ndarray]:
        """Kernels and biases in the order of Keras."""
        return [p.detach().cpu().numpy().T for p in self.parameters]

    def _dense(self, kernel: np.ndarray, bias: np.ndarray) -> Any:
        torch = self.torch
        layer = torch.nn.Linear(*kernel.shape, device=self.device)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(kernel.T))
            layer.bias.copy_(torch.tensor(bias))
        return layer

    def _losses(self) -> tuple[list, Any]:
        features = self.trunk(self.x)
        mse = self.torch.nn.functional.mse_loss
        losses = [
            mse(head(features), label)
            for head, label in zip(self.heads, self.labels, strict=True)
        ]
        return losses, features

    def _sum_gradients(self) -> None:
        sum(self._losses()[0]).backward()

    def _torchjd_gradients(self) -> None:
        from torchjd.aggregation import PCGrad
        from torchjd.autojac import jac_to_grad
        from torchjd.autojac import mtl_backward

        losses, features = self._losses()
        mtl_backward(losses, features=features)
        jac_to_grad(self.trunk.parameters(), PCGrad())

    def _libmtl_gradients(self) -> None:
        """T backward passes into a dense matrix, projected pair by pair."""
        torch = self.torch
        losses, _ = self._losses()
        shared = list(self.trunk.parameters())
        sizes = [p.numel() for p in shared]
        rows = torch.zeros(len(losses), sum(sizes), device=self.device)
        for row, loss in zip(rows, losses, strict=True):
            for p in shared:
                p.grad = None
            loss.backward(retain_graph=loss is not losses[-1])
            row.copy_(torch.cat([p.grad.flatten() for p in shared]))
        projected = rows.clone()
        for gradient in projected:
            order = list(range(len(losses)))
            random.shuffle(order)
            for other in order:
                inner = torch.dot(gradient, rows[other])
                if inner < 0:
                    square = rows[other].norm().pow(2) + 1e-8
                    gradient -= inner * rows[other] / square
        parts = projected.sum(0).split(sizes)
        for p, part in zip(shared, parts, strict=True):
            p.grad = part.view_as(p)
