"""Layers that decide what tasks share: ordinary Keras layers."""

from keras_mtl.layers.multilinear_relationship import MultilinearRelationship
from keras_mtl.layers.per_task import PerTask
from keras_mtl.layers.self_auxiliary_head import SelfAuxiliaryHead
from keras_mtl.layers.soft_sharing import SoftSharing
