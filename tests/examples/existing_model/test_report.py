import pytest

from examples.existing_model import report


class TestTable:
    def test_numbers_and_alignment(self):
        results = {
            "stock": {"amount_mse": 0.6452, "risky_accuracy": 0.698},
            "improved": {"amount_mse": 0.4923, "risky_accuracy": 1.0},
        }
        lines = report.table(results).splitlines()
        assert lines[1].split() == ["stock", "0.645", "69.8", "%"]
        assert lines[2].split() == ["improved", "0.492", "100.0", "%"]
        assert len({len(line) for line in lines}) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
