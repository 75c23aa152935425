"""Where methods end along preference rays."""

import pytest
from absl import app


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--method=adam", "--method.*adam"), ("EPO", "EPO")],
)
def test_refuses(run_example, argument, message):
    with pytest.raises(app.UsageError, match=message):
        run_example("small_towers.rays", argument)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
