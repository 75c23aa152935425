"""CelebA: an attribute of a face and where its landmarks are."""

import dataclasses
from typing import Any

import numpy as np

from keras_mtl.datasets.tfds_arrays import prepared_builder
from keras_mtl.utils.argument_validation import integer_from

Examples = tuple[np.ndarray, dict[str, np.ndarray]]

PARTS = ("train", "validation", "test")
# In the order of the source; x before y.
LANDMARKS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
HEIGHT, WIDTH = 218, 178
SIZE = 40


@dataclasses.dataclass(frozen=True)
class CelebA:
    """What `load_celeb_a` and `celeb_a_stand_in` return.

    Attributes:
        train: `(x, y)`. `x` is a `float32` array `(examples, 40, 40, 1)` of
            gray images with values in `[0, 1]`. `y` is
            `{"attribute": labels, "landmarks": places}`: an `int32` array
            `(examples,)` of zeros and ones, and a `float32` array
            `(examples, 10)`, x and y of the eyes, the nose and the corners of
            the mouth, in widths and heights of the image.
        validation: The same.
        test: The same.
        stand_in: Whether these are drawings and not CelebA.
    """

    train: Examples
    validation: Examples
    test: Examples
    stand_in: bool


def load_celeb_a(
    *,
    attribute: str = "Attractive",
    examples_per_part: int = 10000,
    seed: int = 0,
    data_dir: str | None = None,
    download: bool = True,
) -> CelebA:
    """Reads CelebA: an attribute of the person and five landmarks of the face.

    The protocol is that of the first experiment of the second reference:
    equally many photographs of each part of the official partition, chosen at
    random, are resized to 40x40 (bilinear, without antialiasing) and made
    gray; landmarks are divided by the size of the photograph, 178x218. Which
    photographs are chosen depends on `seed` alone, but they are not those of
    the paper, whose choice belongs to another order of the files. A
    photograph is decoded only if it is chosen.

    Args:
        attribute: One of the 40 attributes of CelebA, as it spells them.
            Defaults to `"Attractive"`.
        examples_per_part: int, how many photographs of each part. Defaults to
            `10000`; validation and test have 19,867 and 19,962.
        seed: int, from 0 up, of the choice. Defaults to `0`.
        data_dir: Where `tensorflow-datasets` keeps its data. Defaults to
            `TFDS_DATA_DIR`, or its own default.
        download: If `True`, the source is downloaded (1.4 GB) when it is not
            there. Defaults to `True`.

    Returns:
        A `CelebA`.

    Raises:
        FileNotFoundError: The data is not there and cannot be downloaded.
        ValueError: There is no such attribute, a part has fewer photographs,
            or a number is too small.

    Example:

    ```python
    data = keras_mtl.datasets.load_celeb_a()
    x, y = data.train  # (10000, 40, 40, 1), (10000,), (10000, 10)
    ```

    References:

    - [Liu et al., 2015](https://arxiv.org/abs/1411.7766), the data; for
        research that is not commercial
    - Tran-Thien, Censoring the auxiliary loss gradient to mitigate risks of
        negative transfer, section B.2
    """
    integer_from(1, "examples_per_part", examples_per_part)
    integer_from(0, "seed", seed)
    builder = prepared_builder("celeb_a", data_dir, download)
    known = list(builder.info.features["attributes"])
    if attribute not in known:
        raise ValueError(
            f"`attribute` must be one of {known}. "
            f"Received: attribute={attribute!r}"
        )
    parts = {}
    for index, part in enumerate(PARTS):
        available = builder.info.splits[part].num_examples
        if examples_per_part > available:
            raise ValueError(
                f"`examples_per_part` must be at most {available}, the size "
                f"of the part {part!r}. "
                f"Received: examples_per_part={examples_per_part}"
            )
        # A generator of its own, so that a part does not depend on the others.
        order = np.random.default_rng((seed, index)).permutation(available)
        chosen = np.zeros(available, bool)
        chosen[order[:examples_per_part]] = True
        parts[part] = _read(builder, part, chosen, attribute)
    return CelebA(**parts, stand_in=False)


def _read(
    builder: Any, part: str, chosen: np.ndarray, attribute: str
) -> Examples:
    # Not at the top: with JAX nothing else here needs TensorFlow.
    import tensorflow as tf
    import tensorflow_datasets as tfds

    table = tf.constant(chosen)
    decode = builder.info.features["image"].decode_example

    def prepare(_: Any, example: dict[str, Any]) -> tuple:
        image = tf.cast(decode(example["image"]), "float32")
        image = tf.image.resize(image, (SIZE, SIZE), method="bilinear")
        gray = tf.image.rgb_to_grayscale(image) / 255.0
        places = [
            tf.cast(example["landmarks"][f"{name}_{axis}"], "float32") / size
            for name in LANDMARKS
            for axis, size in (("x", WIDTH), ("y", HEIGHT))
        ]
        label = tf.cast(example["attributes"][attribute], "int32")
        return gray, label, tf.stack(places)

    count = int(chosen.sum())
    examples = (
        builder.as_dataset(
            split=part, decoders={"image": tfds.decode.SkipDecoding()}
        )
        .enumerate()
        .filter(lambda index, _: table[index])
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(count)
    )
    images, labels, places = next(iter(examples.as_numpy_iterator()))
    return images, {"attribute": labels, "landmarks": places}


def celeb_a_stand_in(
    *, examples_per_part: int = 10000, seed: int = 0
) -> CelebA:
    """Draws faces that stand in for CelebA; these are NOT its photographs.

    For trying a program where CelebA cannot be had. Arrays have the shapes,
    ranges and order of `load_celeb_a`, and nothing that is measured on them
    says anything about CelebA. A face is a bright ellipse with dark blobs for
    eyes, nose and mouth before a blurred background. Faces differ in place,
    tilt, size and light, which the label does not depend on, in the
    proportions of their landmarks, and in looks that landmarks do not tell:
    how large the eyes and how thick the lips are.

    The label is drawn with the probability `sigmoid(s)`. The score `s` adds a
    function of the proportions, so that an auxiliary task that finds the
    landmarks can help, and one of the looks, so that features that know
    nothing but landmarks do not suffice. The labels' own noise keeps the best
    possible AUC near 0.9.

    Args:
        examples_per_part: int, how many faces of each part. Defaults to
            `10000`.
        seed: int, from 0 up. Defaults to `0`.

    Returns:
        A `CelebA` with `stand_in=True`.

    Example:

    ```python
    data = keras_mtl.datasets.celeb_a_stand_in(examples_per_part=100)
    ```
    """
    integer_from(1, "examples_per_part", examples_per_part)
    integer_from(0, "seed", seed)
    parts = {
        part: _draw(np.random.default_rng((seed, index)), examples_per_part)
        for index, part in enumerate(PARTS)
    }
    return CelebA(**parts, stand_in=True)


def _draw(rng: np.random.Generator, count: int) -> Examples:
    # Proportions: of eyes, mouth (width, place) and nose (length, side).
    eyes, mouth, mouth_y, nose_y, nose_x = rng.standard_normal((5, count))
    # Looks.
    eye_size, lips = rng.standard_normal((2, count))
    half_eyes = 0.11 * (1 + 0.1 * eyes)
    half_mouth = 0.09 * (1 + 0.14 * mouth)
    below = 0.19 * (1 + 0.08 * mouth_y)
    x = np.stack(
        [-half_eyes, half_eyes, 0.025 * nose_x, -half_mouth, half_mouth], -1
    )
    nothing = np.zeros(count)
    y = np.stack(
        [nothing, nothing, 0.11 * (1 + 0.13 * nose_y), below, below], -1
    )
    x, y, size = _place(rng, x, y)
    images = _paint(rng, x, y, size, eye_size, lips)
    proportions = (eyes - mouth) + 0.8 * (nose_y - mouth_y) + np.abs(nose_x)
    looks = eye_size + lips
    score = 1.2 * (proportions - np.sqrt(2 / np.pi)) + 0.7 * looks
    label = rng.uniform(size=count) < 1 / (1 + np.exp(-score))
    landmarks = np.stack([x, y], -1).reshape(count, -1)
    return images, {
        "attribute": label.astype("int32"),
        "landmarks": landmarks.astype("float32"),
    }


def _place(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Puts faces, whose eyes are at height 0, somewhere near the middle."""
    count = len(x)
    size = 1 + 0.08 * rng.standard_normal((count, 1))
    tilt = 0.08 * rng.standard_normal((count, 1))
    shift_x, shift_y = 0.03 * rng.standard_normal((2, count, 1))
    turned_x = np.cos(tilt) * x - np.sin(tilt) * y
    turned_y = np.sin(tilt) * x + np.cos(tilt) * y
    return (
        0.5 + shift_x + size * turned_x,
        0.48 + shift_y + size * turned_y,
        size[:, 0],
    )


def _paint(
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    size: np.ndarray,
    eye_size: np.ndarray,
    lips: np.ndarray,
) -> np.ndarray:
    count = len(x)
    pixels = (np.arange(SIZE, dtype="float32") + 0.5) / SIZE

    def blob(x: Any, y: Any, width: Any, height: Any) -> np.ndarray:
        """Gaussians, as products of their columns and rows."""

        def bell(middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
            away = (pixels - middle[:, None]) / (spread * size)[:, None]
            return np.exp(-0.5 * away * away).astype("float32")

        spread_x = np.broadcast_to(width, count)
        spread_y = np.broadcast_to(height, count)
        return bell(y, spread_y)[:, :, None] * bell(x, spread_x)[:, None, :]

    def each(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1, 1)).astype("float32")

    images = each(0.1, 0.5) + np.zeros((count, SIZE, SIZE), "float32")
    for _ in range(3):  # what is behind
        spot = blob(*rng.uniform(0, 1, (2, count)), *rng.uniform(0.05, 0.2, 2))
        images += each(-0.3, 0.3) * spot
    corners = [0, 1, 3, 4]  # without the nose, which may be to the side
    middle = x[:, corners].mean(axis=1), y[:, corners].mean(axis=1)
    skin = blob(*middle, 0.17, 0.22)
    skin = 1 / (1 + np.exp(-20 * (skin - 0.4)))
    light = 1 + each(-0.3, 0.3) * (pixels - 0.5)
    images = images * (1 - skin) + each(0.55, 0.85) * light * skin
    wide = 0.026 * np.exp(0.2 * eye_size)
    for eye in (0, 1):
        images -= each(0.3, 0.5) * blob(x[:, eye], y[:, eye], wide, 0.7 * wide)
    images -= each(0.1, 0.25) * blob(x[:, 2], y[:, 2], 0.025, 0.02)
    thick = 0.018 * np.exp(0.25 * lips)
    dark = each(0.15, 0.35)
    for share in np.linspace(0, 1, 5):  # from corner to corner
        middle_x = (1 - share) * x[:, 3] + share * x[:, 4]
        middle_y = (1 - share) * y[:, 3] + share * y[:, 4]
        images -= dark * blob(middle_x, middle_y, 0.022, thick)
    images += 0.06 * rng.standard_normal(images.shape, dtype="float32")
    return np.clip(images, 0, 1)[..., None]
