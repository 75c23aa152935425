"""Embedding layers of which nothing but rows is looked up."""

import keras
import pytest

from keras_mtl.utils.embeddings import embedding_layers


class Scaled(keras.layers.Embedding):
    def call(self, inputs):
        return 2 * super().call(inputs)


def make_model(layer):
    inputs = keras.Input((3,), dtype="int32")
    return keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))


def test_place_among_the_trainable_variables():
    layer = keras.layers.Embedding(5, 2)
    model = make_model(layer)
    ((found, position),) = embedding_layers(model)
    assert found is layer
    assert model.trainable_variables[position] is layer.embeddings


def test_frozen_tables_and_other_layers_are_none():
    frozen = keras.layers.Embedding(5, 2, trainable=False)
    assert not embedding_layers(make_model(frozen))
    assert not embedding_layers(make_model(Scaled(5, 2)))


def test_adapters_make_it_more_than_a_lookup():
    layer = keras.layers.Embedding(5, 2)
    model = make_model(layer)
    layer.enable_lora(1)
    assert not embedding_layers(model)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
