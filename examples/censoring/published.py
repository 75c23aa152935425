"""What the paper reports: the points of its figures, means over its runs.

By experiment, by method as in `methods.Setting`, by auxiliary task: a number
for each weight of the experiment. `None` where no number is at hand.
"""

from examples.censoring.methods import MULTI
from examples.censoring.methods import SINGLE

# Area under the curve of experiment 1, 10 runs, for the weights 300, 1,000,
# 3,000, 10,000 and 30,000.
CELEBA = {
    (SINGLE, "model", 1.0): {"": [0.8425]},
    (MULTI, "model", 1.0): {"": [0.8467, 0.8478, 0.8477, 0.8454, 0.8403]},
    ("projection", "model", 1.0): {
        "": [0.8462, 0.8475, 0.8478, 0.8502, 0.8475]
    },
    ("projection", "variable", 1.0): {
        "": [0.8465, 0.8475, 0.8489, 0.8500, 0.8482]
    },
    ("projection", "model", 0.01): {
        "": [0.8449, 0.8470, 0.8481, 0.8468, 0.8449]
    },
    ("orthogonal", "variable", 0.01): {"": [None, None, None, 0.8519, None]},
}
# Mean squared error of experiment 2, 20 runs, by (method, granularity,
# smoothing) and task, for the weights 0.1, 0.3, 1, 3 and 10.
REGRESSION = {
    (SINGLE, "model", 1.0): {"": [0.4473]},
    (MULTI, "model", 1.0): {
        "same": [0.4386, 0.4327, 0.4251, 0.4245, 0.4323],
        "similar": [0.4408, 0.4370, 0.4404, 0.4457, 0.4695],
        "unrelated": [0.4469, 0.4541, 0.4913, 0.5214, 0.5433],
    },
    ("projection", "model", 1.0): {
        "same": [0.4387, 0.4305, 0.4237, 0.4259, 0.4392],
    },
    ("projection", "model", 0.1): {
        "same": [0.4369, 0.4266, 0.4184, 0.4223, 0.4315],
    },
    ("projection", "model", 0.01): {
        "same": [0.4357, 0.4275, 0.4155, 0.4102, 0.4157],
        "similar": [0.4383, 0.4324, 0.4296, 0.4321, 0.4396],
        "unrelated": [0.4466, 0.4500, 0.4732, 0.4999, 0.5409],
    },
    ("projection", "variable", 0.01): {
        "same": [0.4386, 0.4260, 0.4164, 0.4129, 0.4116],
    },
    ("orthogonal", "model", 0.1): {
        "same": [None, 0.4148, None, None, 0.543],
    },
}
# Cross-entropy of experiment 4, 50 runs, variable by variable, for the weights
# 1, 3, 10, 30, 100 and 300.
IMDB = {
    (SINGLE, "model", 1.0): {"": [0.3126]},
    (MULTI, "model", 1.0): {
        "": [0.3107, 0.3089, 0.3108, 0.3087, 0.4501, 0.6454]
    },
    ("projection", "variable", 1.0): {
        "": [0.3063, 0.3117, 0.3086, 0.3146, 0.3682, 0.5742]
    },
    ("projection", "variable", 0.01): {
        "": [0.3125, 0.3111, 0.3089, 0.3087, 0.2974, 0.3234]
    },
}
# Accuracy of experiment 3 on its last 1,280 test words, 50 runs, variable by
# variable, for the weights 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30 and 100.
CONLL = {
    (SINGLE, "model", 1.0): {"": [0.8578]},
    (MULTI, "model", 1.0): {
        "": [
            0.8585,
            0.8587,
            0.8624,
            0.8675,
            0.8658,
            0.8635,
            0.8507,
            0.8427,
            0.8355,
        ]
    },
    ("projection", "variable", 1.0): {
        "": [
            0.8585,
            0.8587,
            0.8624,
            0.8678,
            0.8668,
            0.8642,
            0.8498,
            0.8407,
            0.8375,
        ]
    },
    ("projection", "variable", 0.01): {
        "": [
            0.8583,
            0.8587,
            0.8612,
            0.8661,
            0.8694,
            0.8666,
            0.8646,
            0.8550,
            0.8494,
        ]
    },
}
