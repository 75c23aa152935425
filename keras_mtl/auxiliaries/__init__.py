"""Heads that only training has, added to a model or taken off again."""

from keras_mtl.auxiliaries.auxiliary_branches import add_auxiliary_branches
from keras_mtl.auxiliaries.auxiliary_towers import AuxiliaryTowers
from keras_mtl.auxiliaries.auxiliary_towers import add_auxiliary_towers
from keras_mtl.auxiliaries.self_auxiliaries import SelfAuxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import add_self_auxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import strip_auxiliaries
