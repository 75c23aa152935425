"""Which tasks to train, in what mix, and in what groups.

- `BanditSelection` with `TaskSampler`: in one training, which auxiliary tasks
  help a main one, by a bandit (`BetaBandit`); the first stage of AutoSeM.
- `MixingRatioSearch` with `mix_datasets`: over several trainings, the best mix
  of tasks; its second stage.
- `AffinityMonitor` with `group_tasks`: which tasks to train together, when
  there are several models to share; TAG.

To gate single steps by the cosine of task gradients, compile the model with
`keras_mtl.aggregators.UnweightedCosine` or `WeightedCosine`.
"""

from keras_mtl.selection.affinity_monitor import AffinityHistory
from keras_mtl.selection.affinity_monitor import AffinityMonitor
from keras_mtl.selection.bandit_selection import BanditSelection
from keras_mtl.selection.beta_bandit import BetaBandit
from keras_mtl.selection.group_tasks import TaskGroup
from keras_mtl.selection.group_tasks import group_tasks
from keras_mtl.selection.mix_datasets import mix_datasets
from keras_mtl.selection.mix_datasets import ratio_sequence
from keras_mtl.selection.mixing_ratio_search import Evaluation
from keras_mtl.selection.mixing_ratio_search import MixingRatioSearch
from keras_mtl.selection.task_sampler import TaskSampler

__all__ = [
    "AffinityHistory",
    "AffinityMonitor",
    "BanditSelection",
    "BetaBandit",
    "Evaluation",
    "MixingRatioSearch",
    "TaskGroup",
    "TaskSampler",
    "group_tasks",
    "mix_datasets",
    "ratio_sequence",
]
