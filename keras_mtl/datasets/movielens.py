"""MovieLens-1M: who watched which movie, and how it was rated."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_mtl.datasets.tfds_arrays import prepared_builder
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from

Features = dict[str, np.ndarray]
Examples = tuple[Features, dict[str, np.ndarray]]
# Takes the name of a feature and values, and returns ids from 1 up.
Encode = Callable[[str, list[Any]], np.ndarray]

# How many hash buckets each feature has in the code of Wang et al.
BUCKETS = {
    "user": 20000,
    "gender": 5,
    "age": 15,
    "occupation": 40,
    "zip": 200,
    "movie": 10000,
    "title": 5000,
    "genres": 200,
}
USER_SOURCES = {
    "gender": "user_gender",
    "age": "bucketized_user_age",
    "occupation": "user_occupation_text",
    "zip": "user_zip_code",
}
MOVIE_SOURCES = ("movie_title", "movie_genres")
RATING_SOURCES = ("user_id", "movie_id", "user_rating")
PADDING = 0  # ids of buckets begin at 1
HELD_OUT = 10  # a tenth is validation, and another one test


@dataclasses.dataclass(frozen=True)
class MovieLens:
    """What `load_movielens` and `movielens_stand_in` return.

    Attributes:
        train: `(x, y)`. `x` is a dict by feature of `int32` arrays of ids:
            `user`, `gender`, `age`, `occupation`, `zip` and `movie` are
            `(examples,)`, `title` and `genres` `(examples, length)`, with
            zeros after the last word or genre. `y` is
            `{"watch": labels, "rating": labels}`: an `int32` array
            `(examples,)` of zeros and ones, and a `float32` array
            `(examples,)`, 1 to 5 stars, NaN where the movie is not watched.
        validation: The same.
        test: The same.
        num_ids: By feature, how many ids there are with the padding, 0: what
            an embedding has as its `input_dim`.
        stand_in: Whether these are made up and not of MovieLens.
    """

    train: Examples
    validation: Examples
    test: Examples
    num_ids: dict[str, int]
    stand_in: bool


@dataclasses.dataclass(frozen=True)
class _Ratings:
    """What users have rated.

    Attributes:
        user: Integers `(ratings,)`, rows of the features in `users`.
        movie: Integers `(ratings,)`, rows of the features in `movies`.
        rating: Numbers `(ratings,)`.
        users: By feature, an array with a row a user.
        movies: By feature, an array with a row a movie.
    """

    user: np.ndarray
    movie: np.ndarray
    rating: np.ndarray
    users: Features
    movies: Features


def load_movielens(
    *,
    hashed: bool = True,
    seed: int = 0,
    data_dir: str | None = None,
    download: bool = True,
) -> MovieLens:
    """Reads MovieLens-1M: who watches a movie, and how it is rated.

    An example is a user and a movie. Every rating is an example that was
    watched, with the rating as a label. For every user, as many movies that
    the user has not rated are drawn as examples that were not watched, without
    a rating; fewer if there are not as many. A tenth of the examples is
    validation and a tenth is test, at random. What is drawn and how it is
    divided depends on `seed` alone.

    This is the protocol of the second reference, with its features: each is
    the bucket of a hash, so some users, movies or words share an id (of 6,040
    users in 20,000 buckets a quarter shares; both genders are in one of 5).
    All 1,000,209 ratings make 2.0 million examples. A directory that was
    prepared with fewer ratings gives fewer.

    Args:
        hashed: If `False`, every value of a feature has an id of its own, by
            the order of the alphabet. Defaults to `True`: ids are hashes, as
            published.
        seed: int, from 0 up. Defaults to `0`.
        data_dir: Where `tensorflow-datasets` keeps its data. Defaults to
            `TFDS_DATA_DIR`, or its own default.
        download: If `True`, `movielens/1m-ratings` is downloaded (6 MB) when
            it is not there. Defaults to `True`.

    Returns:
        A `MovieLens`.

    Raises:
        FileNotFoundError: The data is not there and cannot be downloaded.

    Example:

    ```python
    data = keras_mtl.datasets.load_movielens()
    model.compile(
        "adagrad",
        loss={
            "watch": keras.losses.BinaryCrossentropy(from_logits=True),
            "rating": "mse",
        },
        missing_label={"rating": float("nan")},
    )
    model.fit(*data.train)
    ```

    References:

    - [Harper & Konstan, 2015](https://doi.org/10.1145/2827872), the data; not
        to be passed on
    - [Wang et al., 2020](https://arxiv.org/abs/2008.05808), section A.5
    """
    encode = _hash if boolean("hashed", hashed) else _number
    integer_from(0, "seed", seed)
    builder = prepared_builder("movielens/1m-ratings", data_dir, download)
    columns, genres = _read(builder)
    ratings = _tables(columns, genres, encode)
    num_ids = _num_buckets() if hashed else _num_known(ratings)
    return _divide(ratings, num_ids, seed, stand_in=False)


def _read(builder: Any) -> tuple[Features, list[str]]:
    """By key of the source, a row a rating; names of columns of genres."""
    # Not at the top: with JAX nothing else here needs TensorFlow.
    import tensorflow as tf
    import tensorflow_datasets as tfds

    keys = (*RATING_SOURCES, *USER_SOURCES.values(), *MOVIE_SOURCES)
    genres = builder.info.features["movie_genres"].feature

    def prepare(example: dict[str, Any]) -> dict[str, Any]:
        # Of one length: padded, genre 0 could not be told from the padding.
        one_hot = tf.one_hot(example["movie_genres"], genres.num_classes)
        return {**example, "movie_genres": tf.reduce_max(one_hot, axis=0)}

    examples = builder.as_dataset(
        split="train", decoders=tfds.decode.PartialDecoding(set(keys))
    )
    examples = examples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    count = builder.info.splits["train"].num_examples
    columns = next(iter(examples.batch(count).as_numpy_iterator()))
    return columns, genres.names


def _tables(columns: Features, genres: list[str], encode: Encode) -> _Ratings:
    """Tells users and movies apart, and gives their features ids."""
    users, a_user, user = np.unique(
        columns["user_id"], return_index=True, return_inverse=True
    )
    movies, a_movie, movie = np.unique(
        columns["movie_id"], return_index=True, return_inverse=True
    )
    # So that the order of the files, and of reading them, does not matter.
    order = np.lexsort((movie, user))
    titles = [
        title.decode("utf-8").split()
        for title in columns["movie_title"][a_movie]
    ]
    named = [
        [genres[index] for index in np.flatnonzero(row)]
        for row in columns["movie_genres"][a_movie]
    ]
    of_users = {"user": list(users)}
    for name, key in USER_SOURCES.items():
        of_users[name] = _text(name, columns[key][a_user])
    return _Ratings(
        user[order],
        movie[order],
        columns["user_rating"][order],
        {name: encode(name, values) for name, values in of_users.items()},
        {
            "movie": encode("movie", list(movies)),
            "title": _encode_rows("title", titles, encode),
            "genres": _encode_rows("genres", named, encode),
        },
    )


def _text(name: str, values: np.ndarray) -> list[Any]:
    """Values as the files of MovieLens spell them."""
    if name == "gender":
        return ["M" if value else "F" for value in values]
    if name == "age":
        return [str(int(value)) for value in values]
    return list(values)


def _hash(name: str, values: list[Any]) -> np.ndarray:
    # As `keras.layers.Hashing` and columns of features do it.
    import tensorflow as tf

    hashed = tf.strings.to_hash_bucket_fast(values, BUCKETS[name])
    return (hashed.numpy() + 1).astype("int32")


def _number(name: str, values: list[Any]) -> np.ndarray:
    _, codes = np.unique(np.array(values), return_inverse=True)
    return (codes + 1).astype("int32")


def _num_buckets() -> dict[str, int]:
    return {name: count + 1 for name, count in BUCKETS.items()}


def _num_known(ratings: _Ratings) -> dict[str, int]:
    features = {**ratings.users, **ratings.movies}
    return {name: int(features[name].max()) + 1 for name in BUCKETS}


def _encode_rows(
    name: str, rows: list[list[str]], encode: Encode
) -> np.ndarray:
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), PADDING, "int32")
    filled = np.arange(ids.shape[1]) < lengths[:, None]
    ids[filled] = encode(name, [word for row in rows for word in row])
    return ids


def movielens_stand_in(
    *, users: int = 200, movies: int = 150, seed: int = 0
) -> MovieLens:
    """Makes up users and movies that stand in for MovieLens; NOT its ratings.

    For trying a program where MovieLens cannot be had. Arrays have the kinds,
    ranges and order of `load_movielens`, and nothing that is measured on them
    says anything about MovieLens. Users watch a tenth to four tenths of the
    movies, known ones and those that fit their taste more often, and rate what
    fits better; taste depends on the age and the fit on the genres, so that
    both tasks can be learnt.

    Args:
        users: int, how many. Defaults to `200`; at most 20,000.
        movies: int >= 10, how many. Defaults to `150`; at most 10,000.
        seed: int, from 0 up. Defaults to `0`.

    Returns:
        A `MovieLens` with `stand_in=True`.

    Raises:
        ValueError: A number is too small or too large.

    Example:

    ```python
    data = keras_mtl.datasets.movielens_stand_in(users=50)
    ```
    """
    integer_from(1, "users", users)
    integer_from(10, "movies", movies)
    integer_from(0, "seed", seed)
    for name, count in (("user", users), ("movie", movies)):
        if count > BUCKETS[name]:
            raise ValueError(
                f"`{name}s` must be at most {BUCKETS[name]}. "
                f"Received: {name}s={count}"
            )
    # Another generator than the one that divides.
    rng = np.random.default_rng((seed, 1))
    ratings = _make_up(rng, users, movies)
    return _divide(ratings, _num_buckets(), seed, stand_in=True)


def _make_up(rng: np.random.Generator, users: int, movies: int) -> _Ratings:
    def code(high: int, count: int) -> np.ndarray:
        return rng.integers(1, high + 1, count, dtype="int32")

    user_features = {
        "user": np.arange(1, users + 1, dtype="int32"),
        "gender": code(2, users),
        "age": code(7, users),
        "occupation": code(21, users),
        "zip": code(BUCKETS["zip"], users),
    }
    genres = np.stack([code(6, movies), code(6, movies)], axis=1)
    genres[rng.uniform(size=movies) < 0.5, 1] = PADDING
    movie_features = {
        "movie": np.arange(1, movies + 1, dtype="int32"),
        "title": rng.integers(1, 300, (movies, 4), dtype="int32"),
        "genres": genres,
    }
    # Of each age for each genre, and of each user for each movie.
    taste = rng.standard_normal((8, 7))
    taste[:, PADDING] = 0
    fit = taste[user_features["age"][:, None, None], genres].mean(axis=-1)
    fit += 0.5 * rng.standard_normal((users, movies))
    quality = rng.standard_normal(movies)
    known = rng.standard_normal(movies)
    chance = fit + 1.5 * known + rng.gumbel(size=(users, movies))
    share = rng.uniform(0.1, 0.4, users)
    counts = np.maximum(1, (share * movies).astype(int))
    place = np.argsort(np.argsort(-chance, axis=1), axis=1)
    user, movie = np.nonzero(place < counts[:, None])
    stars = 3.5 + 0.8 * fit + 0.5 * quality
    rating = np.clip(np.round(stars[user, movie]), 1, 5)
    return _Ratings(user, movie, rating, user_features, movie_features)


def _divide(
    ratings: _Ratings, num_ids: dict[str, int], seed: int, stand_in: bool
) -> MovieLens:
    """Adds movies that were not watched, and makes the three parts."""
    rng = np.random.default_rng(seed)
    other_user, other_movie = _not_watched(ratings, rng)
    user = np.concatenate([ratings.user, other_user])
    movie = np.concatenate([ratings.movie, other_movie])
    no_rating = np.full(len(other_user), np.nan)
    rating = np.concatenate([ratings.rating, no_rating]).astype("float32")

    def part(rows: np.ndarray) -> Examples:
        x = {name: ids[user[rows]] for name, ids in ratings.users.items()}
        for name, ids in ratings.movies.items():
            x[name] = ids[movie[rows]]
        watch = ~np.isnan(rating[rows])
        return x, {"watch": watch.astype("int32"), "rating": rating[rows]}

    order = rng.permutation(len(user))
    held_out = len(order) // HELD_OUT
    return MovieLens(
        train=part(order[2 * held_out :]),
        validation=part(order[:held_out]),
        test=part(order[held_out : 2 * held_out]),
        num_ids=num_ids,
        stand_in=stand_in,
    )


def _not_watched(
    ratings: _Ratings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """For each user, as many other movies as rated ones, or all there are."""
    num_users = len(ratings.users["user"])
    watched = np.zeros((num_users, len(ratings.movies["movie"])), bool)
    watched[ratings.user, ratings.movie] = True
    chosen = [
        rng.permutation(np.flatnonzero(~row))[: row.sum()] for row in watched
    ]
    counts = [len(movies) for movies in chosen]
    return np.repeat(np.arange(num_users), counts), np.concatenate(chosen)
