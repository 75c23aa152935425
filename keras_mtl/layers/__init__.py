"""Layers that decide what tasks share: ordinary Keras layers."""

from keras_mtl.layers.cgc import CGC
from keras_mtl.layers.d_select_k import DSelectKGate
from keras_mtl.layers.mmoe import MMoE
from keras_mtl.layers.ple import PLE
from keras_mtl.layers.self_auxiliary_head import SelfAuxiliaryHead
