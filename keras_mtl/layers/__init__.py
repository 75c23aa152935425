"""Layers that decide what tasks share: ordinary Keras layers."""

from keras_mtl.layers.cgc import CGC
from keras_mtl.layers.cross_stitch import CrossStitch
from keras_mtl.layers.d_select_k import DSelectKGate
from keras_mtl.layers.gated_sharing import GatedSharing
from keras_mtl.layers.mmoe import MMoE
from keras_mtl.layers.multilinear_relationship import MultilinearRelationship
from keras_mtl.layers.per_task import PerTask
from keras_mtl.layers.ple import PLE
from keras_mtl.layers.self_auxiliary_head import SelfAuxiliaryHead
from keras_mtl.layers.sluice import LayerMixture
from keras_mtl.layers.sluice import Sluice
from keras_mtl.layers.soft_sharing import SoftSharing
from keras_mtl.layers.sub_network_routing import SubNetworkRouting
