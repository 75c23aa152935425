"""Which trade-off between tasks to take, and whether it is better by chance.

`pip install 'keras_mtl[pareto]'` brings what computes and draws it.
"""

from keras_mtl.pareto.chosen_points import best_mean
from keras_mtl.pareto.chosen_points import middle_point
from keras_mtl.pareto.from_study import from_study
from keras_mtl.pareto.hypervolume import hypervolume
from keras_mtl.pareto.hypervolume import hypervolume_contributions
from keras_mtl.pareto.hypervolume import reference_point
from keras_mtl.pareto.hypervolume_interval import hypervolume_interval
from keras_mtl.pareto.indicators import epsilon_additive
from keras_mtl.pareto.indicators import epsilon_multiplicative
from keras_mtl.pareto.indicators import igd_plus
from keras_mtl.pareto.interval import Interval
from keras_mtl.pareto.non_dominated import non_dominated
from keras_mtl.pareto.paired_seeds import PermutationTest
from keras_mtl.pareto.paired_seeds import confidence_interval
from keras_mtl.pareto.paired_seeds import permutation_test
from keras_mtl.pareto.plot_front import plot_front
from keras_mtl.pareto.plot_pairwise import plot_pairwise
from keras_mtl.pareto.plot_parallel_coordinates import plot_parallel_coordinates
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.preference_rays import loss_ray
from keras_mtl.pareto.preference_rays import preference_rays
from keras_mtl.pareto.preference_rays import ray_angle
from keras_mtl.pareto.read_results import read_results
from keras_mtl.pareto.relative_change import RelativeChange
from keras_mtl.pareto.relative_change import delta_m
from keras_mtl.pareto.relative_change import relative_change
