import json

import keras
import numpy as np
import pytest

from keras_mtl.selection import BetaBandit


def play(bandit, probabilities, rounds, seed=0):
    """Pulls arms with Bernoulli rewards; returns how often each was pulled."""
    random = np.random.default_rng(seed)
    pulls = dict.fromkeys(bandit.arms, 0)
    for _ in range(rounds):
        arm = bandit.draw()
        pulls[arm] += 1
        bandit.update(arm, random.random() < probabilities[arm])
    return pulls


def most_pulled(pulls):
    return max(pulls, key=pulls.get)


class TestChoice:
    @pytest.mark.parametrize("decay", [0.0, 0.05, 0.3])
    @pytest.mark.parametrize("seed", range(5))
    def test_best_of_three_arms_is_pulled_most(self, decay, seed):
        bandit = BetaBandit(["a", "b", "c"], decay=decay, seed=seed)
        pulls = play(bandit, {"a": 0.5, "b": 0.8, "c": 0.2}, 500, seed)
        assert most_pulled(pulls) == "b"
        assert sum(pulls.values()) == 500

    @pytest.mark.parametrize("seed", range(5))
    def test_follows_probabilities_that_are_flipped(self, seed):
        bandit = BetaBandit(3, seed=seed)
        assert most_pulled(play(bandit, [0.8, 0.5, 0.2], 500, seed)) == 0
        after = play(bandit, [0.2, 0.5, 0.8], 500, seed)
        assert most_pulled(after) == 2

    def test_without_decay_it_is_slow_to_follow(self):
        """What decay is for: the check above could not fail otherwise."""
        bandit = BetaBandit(3, decay=0.0, seed=0)
        play(bandit, [0.8, 0.5, 0.2], 500)
        assert most_pulled(play(bandit, [0.2, 0.5, 0.8], 100)) == 0

    def test_draws_arms_as_often_as_their_samples_are_largest(self):
        bandit = BetaBandit(2, decay=0.0, seed=0)
        for reward in (1, 1, 0):
            bandit.update(0, reward)
        # P(Beta(3, 2) > Beta(1, 1)) is the mean of Beta(3, 2).
        share = np.mean([bandit.draw() == 0 for _ in range(4000)])
        assert abs(share - 0.6) < 0.03

    def test_breaks_ties_at_random(self):
        # Samples of so narrow a belief are 1, all of them.
        bandit = BetaBandit(3, prior=(1e9, 1e-9), seed=0)
        drawn = [bandit.draw() for _ in range(300)]
        assert min(drawn.count(arm) for arm in range(3)) > 60


class TestBeliefs:
    def test_update_of_the_paper(self):
        bandit = BetaBandit(["a", "b"], decay=0.3, prior=(1, 2))
        bandit.update("a", 1)
        assert bandit.beliefs == {"a": (2, 2), "b": (1, 2)}
        bandit.update("b", 0)
        expected = {
            "a": (0.7 * 2 + 0.3 * 1, 0.7 * 2 + 0.3 * 2),
            "b": (1, 3),
        }
        for arm, belief in expected.items():
            np.testing.assert_allclose(bandit.beliefs[arm], belief)
        np.testing.assert_allclose(bandit.utilities["a"], 1.7 / 3.7)
        np.testing.assert_allclose(bandit.utilities["b"], 0.25)

    def test_without_decay_it_counts(self):
        bandit = BetaBandit(2, decay=0.0)
        for reward in (1, 1, 0, 1):
            bandit.update(1, reward)
        assert bandit.beliefs == {0: (1, 1), 1: (4, 2)}

    @pytest.mark.parametrize("decay", [0.1, 0.3, 1.0])
    def test_sum_never_exceeds_its_bound(self, decay):
        bandit = BetaBandit(2, decay=decay)
        for round in range(200):
            bandit.update(0, round % 3 == 0)
            for a, b in bandit.beliefs.values():
                assert a + b <= 2 + 1 / decay + 1e-9
        # And comes close to it.
        assert sum(bandit.beliefs[0]) > 2 + 1 / decay - 1e-6


class TestState:
    def test_goes_on_as_if_never_interrupted(self):
        whole = BetaBandit(["a", "b", "c"], seed=3)
        probabilities = {"a": 0.5, "b": 0.8, "c": 0.2}
        play(whole, probabilities, 20)
        state = json.loads(json.dumps(whole.get_state()))
        resumed = BetaBandit(["a", "b", "c"], seed=99)
        resumed.set_state(state)
        assert resumed.beliefs == whole.beliefs
        for _ in range(20):
            arm = whole.draw()
            assert resumed.draw() == arm
            whole.update(arm, 1)
            resumed.update(arm, 1)

    def test_a_state_does_not_change_with_its_bandit(self):
        bandit = BetaBandit(2, seed=0)
        state = bandit.get_state()
        before = json.dumps(state)
        bandit.update(bandit.draw(), 1)
        assert json.dumps(state) == before

    def test_refuses_a_state_of_other_arms(self):
        state = BetaBandit(["a", "b"]).get_state()
        with pytest.raises(ValueError, match="other arms.*'a'.*'c'"):
            BetaBandit(["a", "c"]).set_state(state)

    def test_seed_repeats_the_draws(self):
        def draws(seed):
            bandit = BetaBandit(4, seed=seed)
            return [bandit.draw() for _ in range(20)]

        assert draws(1) == draws(1) != draws(2)

    def test_default_seed_is_that_of_keras(self):
        def draws():
            keras.utils.set_random_seed(5)
            bandit = BetaBandit(4)
            return [bandit.draw() for _ in range(20)]

        assert draws() == draws()


class TestBadInput:
    @pytest.mark.parametrize(
        "arms", [0, [], "abc", ["a", "a"], [["a"]], None, 2.0]
    )
    def test_arms(self, arms):
        with pytest.raises(ValueError, match="`arms`.*Received"):
            BetaBandit(arms)

    @pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan"), "0.3", True])
    def test_decay(self, decay):
        with pytest.raises(ValueError, match="`decay`.*from 0 up and at most"):
            BetaBandit(2, decay=decay)

    @pytest.mark.parametrize("prior", [(1,), (0, 1), 1, (1, "1"), None])
    def test_prior(self, prior):
        with pytest.raises(ValueError, match="`prior`"):
            BetaBandit(2, prior=prior)

    @pytest.mark.parametrize("seed", [-1, 0.5, "0"])
    def test_seed(self, seed):
        with pytest.raises(ValueError, match="`seed`"):
            BetaBandit(2, seed=seed)

    @pytest.mark.parametrize("reward", [-1, 2, float("nan"), None])
    def test_reward(self, reward):
        with pytest.raises(ValueError, match="`reward`"):
            BetaBandit(2).update(0, reward)

    @pytest.mark.parametrize("arm", ["c", ["a"]])
    def test_arm(self, arm):
        with pytest.raises(ValueError, match="`arm`.*Received: arm="):
            BetaBandit(["a", "b"]).update(arm, 1)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
