"""Do small towers help, where, and for how long?"""

import pytest
from absl import app


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--stage=rest", "--stage.*rest"),
        ("--source=cifar", "--source.*cifar"),
        ("sum", "sum"),
    ],
)
def test_refuses(run_example, argument, message):
    with pytest.raises(app.UsageError, match=message):
        run_example("small_towers.images", argument)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
