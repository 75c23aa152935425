import numpy as np
import pytest

from examples.selection import train


class TestMakeData:
    def test_plants_what_the_names_say(self):
        training, _, test = train.make_data(seed=0)

        def linear_part(x, y):
            weights, *_ = np.linalg.lstsq(x, y - 0.5, rcond=None)
            return weights[:, 0]

        main = linear_part(*test)
        cosines = {}
        for task, examples in training.items():
            part = linear_part(*examples)
            cosines[task] = part @ main / np.linalg.norm(part)
        cosines = {t: c / np.linalg.norm(main) for t, c in cosines.items()}
        assert cosines["useful"] > 0.85
        assert abs(cosines["harmful"]) < 0.5
        # Nothing is to be learned from the coins.
        coins = np.linalg.norm(linear_part(*training["useless"]))
        assert coins < 0.2 * np.linalg.norm(main)

    def test_sizes_and_classes(self):
        training, *parts = train.make_data(seed=1)
        sizes = [len(x) for x, _ in (training["main"], *parts)]
        assert sizes == [100, 2000, 4000]
        for _, labels in (*training.values(), *parts):
            assert set(np.unique(labels)) == {0, 1}
            assert labels.mean() == pytest.approx(0.5, abs=0.15)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
