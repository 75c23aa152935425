"""The numbers that the method's authors published."""

# Wang et al., 2020: tables 1 and 2, and single tasks from tables 4 and 5.
# Accuracies (left, right) in percent.
PAPER = {
    ("mnist", "small"): {
        "single": (91.16, 88.61),
        "sum": (90.95, 88.92),
        "uncertainty": (91.56, 89.59),
        "mgda_ub": (90.09, 89.09),
        "pcgrad": (91.33, 88.88),
        "self_auxiliary": (91.49, 89.19),
    },
    ("mnist", "medium"): {
        "single": (91.62, 89.62),
        "sum": (91.85, 89.51),
        "uncertainty": (91.86, 89.92),
        "mgda_ub": (91.44, 89.62),
        "pcgrad": (91.79, 89.85),
        "self_auxiliary": (92.20, 90.12),
    },
    ("mnist", "large"): {
        "single": (92.71, 91.01),
        "sum": (91.95, 90.82),
        "uncertainty": (92.45, 90.68),
        "mgda_ub": (92.45, 90.67),
        "pcgrad": (92.56, 90.69),
        "self_auxiliary": (92.80, 91.03),
    },
    ("fashion_mnist", "small"): {
        "single": (82.14, 81.95),
        "sum": (81.26, 80.96),
        "uncertainty": (82.46, 81.09),
        "mgda_ub": (81.36, 81.08),
        "pcgrad": (81.42, 80.94),
        "self_auxiliary": (82.70, 81.19),
    },
    ("fashion_mnist", "medium"): {
        "single": (83.13, 82.97),
        "sum": (81.90, 81.76),
        "uncertainty": (82.83, 82.25),
        "mgda_ub": (82.38, 81.97),
        "pcgrad": (82.30, 81.82),
        "self_auxiliary": (83.06, 82.38),
    },
    ("fashion_mnist", "large"): {
        "single": (83.55, 82.89),
        "sum": (82.72, 81.72),
        "uncertainty": (82.99, 82.25),
        "mgda_ub": (82.68, 82.06),
        "pcgrad": (82.78, 82.22),
        "self_auxiliary": (83.37, 82.67),
    },
}
