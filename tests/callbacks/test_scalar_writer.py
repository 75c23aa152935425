import pytest
import tensorflow as tf

from keras_mtl.callbacks.scalar_writer import ScalarWriter


def events(path):
    for record in tf.data.TFRecordDataset([str(path)]):
        yield tf.compat.v1.Event.FromString(record.numpy())


def test_writes_what_tensorboard_expects(tmp_path):
    writer = ScalarWriter(tmp_path / "logs" / "train")
    writer.write(3, {"a/x": 0.5, "b": -2.0})
    writer.write(7, {"a/x": 1.5})
    writer.close()
    (path,) = (tmp_path / "logs" / "train").iterdir()
    assert "tfevents" in path.name
    version, first, second = events(path)
    assert version.file_version == "brain.Event:2"
    assert (first.step, second.step) == (3, 7)
    assert [(v.tag, v.simple_value) for v in first.summary.value] == [
        ("a/x", 0.5),
        ("b", -2.0),
    ]
    assert second.summary.value[0].simple_value == 1.5
    assert 0 < first.wall_time <= second.wall_time


def test_flush_shows_a_running_training(tmp_path):
    writer = ScalarWriter(tmp_path)
    writer.write(1, {"a": 1.0})
    writer.flush()
    (path,) = tmp_path.iterdir()
    assert len(list(events(path))) == 2
    writer.close()


def test_writers_of_one_folder_do_not_overwrite_each_other(tmp_path):
    for step in range(3):
        writer = ScalarWriter(tmp_path)
        writer.write(step, {"a": 1.0})
        writer.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_tensorboard_reads_it(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    writer = ScalarWriter(tmp_path)
    writer.write(1, {"a": 1.0})
    writer.write(5, {"a": 2.0})
    writer.close()
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("a")] == [
        (1, 1.0),
        (5, 2.0),
    ]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
