"""Layers that decide what tasks share: ordinary Keras layers."""

from keras_mtl.layers.auxiliary_branch import AuxiliaryBranch
from keras_mtl.layers.self_auxiliary_head import SelfAuxiliaryHead
