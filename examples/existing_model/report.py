"""The table of the existing model before and after."""


def table(results: dict[str, dict[str, float]]) -> str:
    """Test results, one model a line."""
    lines = [f"{'':<10}{'amount: MSE / variance':>24}{'risky: accuracy':>18}"]
    for name, result in results.items():
        accuracy = f"{100 * result['risky_accuracy']:.1f} %"
        lines.append(f"{name:<10}{result['amount_mse']:>24.3f}{accuracy:>18}")
    return "\n".join(lines)
