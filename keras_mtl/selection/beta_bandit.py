"""A bandit that learns which arm pays while what they pay changes."""

import random
from collections.abc import Hashable
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import is_number
from keras_mtl.utils.argument_validation import is_table
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_to_one
from keras_mtl.utils.argument_validation import one_of

Arm = Hashable


class BetaBandit:
    """Thompson sampling over Beta distributions that forget.

    Each arm has a belief Beta(a, b) about the probability that it pays. `draw`
    takes one sample of every belief and returns the arm of the largest one;
    `update` tells it the reward r of an arm. All beliefs then go back towards
    the prior, and that of the arm takes in the reward:

        a <- (1 - decay) a + decay a0,    b <- (1 - decay) b + decay b0
        a <- a + r,                       b <- b + 1 - r          (the arm)

    So a + b never exceeds a0 + b0 + 1 / decay: a bandit that remembers some
    1 / decay rewards, and that tries arms again which paid nothing long ago.
    It is the first stage of AutoSeM, whose defaults these are. Plain NumPy, no
    model: it chooses between whatever the arms stand for.

    Args:
        arms: Names of the arms, all different, or how many there are; then
            they are called 0, 1, ...
        decay: float in [0, 1]. How much of a belief is forgotten at an update.
            0 is ordinary Thompson sampling, for rewards that do not change.
        prior: Pair of floats > 0, `(a0, b0)`. (1, 1) is the uniform belief.
        seed: int or `None`, of the draws. By default drawn from Python's
            generator, which `keras.utils.set_random_seed` seeds.

    Raises:
        ValueError: If an argument is none of that.

    Example:

    ```python
    bandit = keras_mtl.selection.BetaBandit(["main", "pos", "ner"], seed=0)
    for _ in range(100):
        arm = bandit.draw()
        bandit.update(arm, reward=float(arm == "pos"))
    bandit.utilities  # {"main": 0.43, "pos": 0.77, "ner": 0.49}
    ```

    References:

    - [Guo et al., "AutoSeM: Automatic Task Selection and Mixing in Multi-Task
      Learning", 2019](https://arxiv.org/abs/1904.04153)
    - [Raj and Kalyani, "Taming Non-stationary Bandits", 2017](
      https://arxiv.org/abs/1707.09727)
    """

    def __init__(
        self,
        arms: Sequence[Arm] | int,
        decay: float = 0.3,
        prior: tuple[float, float] = (1.0, 1.0),
        seed: int | None = None,
    ):
        self.arms = _arms(arms)
        self.decay = number_to_one("decay", decay)
        self.prior = _prior(prior)
        if seed is None:
            seed = random.randrange(2**31)
        self._random = np.random.default_rng(integer_from(0, "seed", seed))
        # Beliefs `[arms, 2]`, of a and b.
        self._beliefs = np.tile(self.prior, (len(self.arms), 1))

    @property
    def beliefs(self) -> dict[Arm, tuple[float, float]]:
        """`(a, b)` of every arm."""
        return dict(
            zip(self.arms, map(tuple, self._beliefs.tolist()), strict=True)
        )

    @property
    def utilities(self) -> dict[Arm, float]:
        """The expected reward a / (a + b) of every arm."""
        return {arm: a / (a + b) for arm, (a, b) in self.beliefs.items()}

    def draw(self) -> Arm:
        """The arm to pull next: the largest of one sample a belief."""
        samples = self._random.beta(*self._beliefs.T)
        # Samples of narrow beliefs can round to the same number.
        best = np.flatnonzero(samples == samples.max())
        return self.arms[self._random.choice(best)]

    def update(self, arm: Arm, reward: float) -> None:
        """Takes in a reward.

        Args:
            arm: The arm that was pulled, drawn by `draw` or not.
            reward: float in [0, 1], or bool; AutoSeM's are 0 and 1.
        """
        one_of("arm", arm, self.arms)
        if isinstance(reward, (bool, np.bool_)):
            reward = float(reward)
        reward = number_to_one("reward", reward)
        self._beliefs *= 1 - self.decay
        self._beliefs += self.decay * np.array(self.prior)
        self._beliefs[self.arms.index(arm)] += reward, 1 - reward

    def get_state(self) -> dict[str, Any]:
        """Beliefs and random state, in types that JSON can hold."""
        return {
            "arms": list(self.arms),
            "beliefs": self._beliefs.tolist(),
            "random": self._random.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where the bandit that returned `state` was.

        Raises:
            ValueError: If it is no state, or that of a bandit of other arms;
                then the bandit stays as it is.
        """
        if not is_table(state, ("arms", "beliefs", "random")):
            raise ValueError(
                "`state` must be what `get_state` of a BetaBandit returned, "
                f"with 'arms', 'beliefs' and 'random'. Received: {state!r}"
            )
        arms = state["arms"]
        if not isinstance(arms, (list, tuple)) or list(arms) != list(self.arms):
            raise ValueError(
                "`state` belongs to a bandit with other arms. Received: a "
                f"state of {arms} for a bandit of {list(self.arms)}"
            )
        beliefs = _beliefs(state["beliefs"], len(self.arms))
        self._random = _generator(state["random"])
        self._beliefs = beliefs


def _arms(arms: Any) -> tuple[Arm, ...]:
    if isinstance(arms, (int, np.integer)) and not isinstance(arms, bool):
        return tuple(range(integer_from(1, "arms", arms)))
    is_sequence = isinstance(arms, Sequence) and not isinstance(arms, str)
    is_named = is_sequence and all(isinstance(arm, Hashable) for arm in arms)
    if not is_named or not arms or len(set(arms)) != len(arms):
        raise ValueError(
            "`arms` must be a sequence of different names, or their number. "
            f"Received: arms={arms!r}"
        )
    return tuple(arms)


def _beliefs(given: Any, count: int) -> np.ndarray:
    """Beliefs `[count, 2]` of a state."""
    is_list = isinstance(given, list) and len(given) == count
    pairs = given if is_list else []
    if not is_list or not all(
        isinstance(pair, (list, tuple))
        and len(pair) == 2
        and all(is_number(value) and value > 0 for value in pair)
        for pair in pairs
    ):
        raise ValueError(
            "`state` must hold 'beliefs' that are two numbers above 0 for "
            f"each of {count} arms. Received: beliefs={given!r}"
        )
    return np.array(given, "float64")


def _generator(state: Any) -> np.random.Generator:
    generator = np.random.default_rng(0)
    try:
        generator.bit_generator.state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            "`state` must hold the 'random' state of a NumPy generator. "
            f"Received: random={state!r}"
        ) from error
    return generator


def _prior(prior: Any) -> tuple[float, float]:
    if not isinstance(prior, Sequence) or len(prior) != 2:
        raise ValueError(
            "`prior` must be a pair of numbers above 0. Received: "
            f"prior={prior!r}"
        )
    return tuple(number_above_zero("prior", value) for value in prior)
