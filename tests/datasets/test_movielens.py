"""MovieLens: files as GroupLens publishes them, prepared data, made-up data."""

import numpy as np
import pytest

from keras_mtl.datasets import load_movielens
from keras_mtl.datasets import movielens_stand_in
from keras_mtl.datasets import tfds_arrays

tfds = pytest.importorskip("tensorflow_datasets")

USER_KEYS = ("user", "gender", "age", "occupation", "zip")
# user::gender::age::occupation::zip
USERS = ["1::F::1::10::48067", "2::M::56::16::70072", "3::M::25::15::55117"]
# The first has two genres, and its second word is that of the third, too.
MOVIES = [
    "1::Toy Story (1995)::Animation|Children's",
    "2::Heat (1995)::Action",
    "3::A Long Story::Drama",
    "4::Jumanji (1995)::Action",
    "5::Sabrina (1995)::Comedy",
    "6::Never Rated (1995)::Comedy",
]
# user::movie::rating::time. User 3 has rated more movies than are left.
RATINGS = [
    "1::1::5::978300760",
    "1::3::3::978300760",
    "2::2::1::978300760",
    *(f"3::{movie}::4::978300760" for movie in (1, 2, 3, 5)),
    "2::4::2::978300760",
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where tensorflow-datasets has prepared the files, as after a download."""
    folder = tmp_path_factory.mktemp("movielens")
    source = folder / "ml-1m"
    source.mkdir()
    for name, lines in (
        ("users", USERS),
        ("movies", MOVIES),
        ("ratings", RATINGS),
    ):
        (source / f"{name}.dat").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds_arrays, "_reachable", lambda url: True)
        manager = tfds.download.DownloadManager
        patch.setattr(manager, "download_and_extract", lambda *args: folder)
        load_movielens(data_dir=folder)
    return folder


def load(data_dir, **arguments):
    return load_movielens(data_dir=data_dir, download=False, **arguments)


def parts(data):
    return data.train, data.validation, data.test


def together(data):
    """All examples of all parts."""
    xs, ys = zip(*parts(data), strict=True)
    return [
        {key: np.concatenate([part[key] for part in group]) for key in group[0]}
        for group in (xs, ys)
    ]


def watched_by_user(x, y):
    """Movies that each user has watched, and those that were drawn."""
    found = {}
    for user, movie, watch in zip(x["user"], x["movie"], y["watch"]):
        found.setdefault(user, ([], []))[1 - watch].append(movie)
    return found


def check(data):
    """What holds of any ratings, as long as nobody shares an id."""
    x, y = together(data)
    assert set(x) == set(data.num_ids)
    for name, ids in x.items():
        assert ids.dtype == np.int32
        assert ids.max() < data.num_ids[name]
        if ids.ndim == 1:
            assert ids.min() >= 1
        else:  # zeros come last
            assert (ids[:, 0] >= 1).all()
            ended = np.cumsum(ids == 0, axis=1) > 0
            np.testing.assert_array_equal(ended, ids == 0)
    assert y["watch"].dtype == np.int32 and y["rating"].dtype == np.float32
    np.testing.assert_array_equal(y["watch"] == 0, np.isnan(y["rating"]))
    known = y["rating"][y["watch"] == 1]
    assert set(known) <= {1, 2, 3, 4, 5}
    num_movies = len(np.unique(x["movie"][y["watch"] == 1]))
    for watched, others in watched_by_user(x, y).values():
        every = watched + others
        assert len(set(every)) == len(every)
        assert len(others) == min(len(watched), num_movies - len(watched))


def test_ids_of_their_own(data_dir):
    data = load(data_dir, hashed=False)
    assert not data.stand_in
    check(data)
    x, y = together(data)
    # By the alphabet: 3 users, 5 movies that somebody has rated.
    rated = {
        (int(u), int(m)): r
        for u, m, r in zip(x["user"], x["movie"], y["rating"])
        if not np.isnan(r)
    }
    assert rated == {
        (1, 1): 5, (1, 3): 3, (2, 2): 1, (2, 4): 2,
        (3, 1): 4, (3, 2): 4, (3, 3): 4, (3, 5): 4,
    }  # fmt: skip
    # Drawn: two each of users 1 and 2, and all that is left for user 3.
    assert len(y["watch"]) == 8 + 2 + 2 + 1
    assert [len(part["watch"]) for _, part in parts(data)] == [11, 1, 1]
    rows = {int(user): index for index, user in enumerate(x["user"])}
    found = [[int(x[k][rows[u]]) for k in USER_KEYS] for u in (1, 2, 3)]
    # Ages are sorted as text: 1, 25, 56; so are occupations and zip codes.
    assert [row[:3] for row in found] == [[1, 1, 1], [2, 2, 3], [3, 2, 2]]
    assert [row[4] for row in found] == [1, 3, 2]
    assert len({row[3] for row in found}) == 3
    movies = {int(m): i for i, m in enumerate(x["movie"])}
    title = {m: x["title"][i].tolist() for m, i in movies.items()}
    # (1995) 1, A 2, Heat 3, Jumanji 4, Long 5, Sabrina 6, Story 7, Toy 8
    assert title[1] == [8, 7, 1] and title[3] == [2, 5, 7]
    assert title[2] == [3, 1, 0]
    # Action 1, Animation 2, Children 3, Comedy 4, Drama 5: genre 0 of the
    # source is no padding.
    genres = {m: x["genres"][i].tolist() for m, i in movies.items()}
    assert genres == {1: [2, 3], 2: [1, 0], 3: [5, 0], 4: [1, 0], 5: [4, 0]}


def test_hashes_are_those_of_keras(data_dir):
    import tensorflow as tf

    data = load(data_dir)
    x, _ = together(data)
    assert data.num_ids["user"] == 20001 and data.num_ids["genres"] == 201
    for name, buckets, values in (
        ("user", 20000, ["1", "2", "3"]),
        ("gender", 5, ["F", "M"]),
        ("age", 15, ["1", "25", "56"]),
        ("zip", 200, ["48067", "70072", "55117"]),
        ("movie", 10000, ["1", "2", "3", "4", "5"]),
    ):
        hashed = tf.strings.to_hash_bucket_fast(values, buckets).numpy() + 1
        assert set(x[name]) == set(hashed)


def test_the_seed_draws_and_divides(data_dir):
    first, again, other = (load(data_dir, seed=seed) for seed in (0, 0, 1))
    for name in first.num_ids:
        np.testing.assert_array_equal(
            first.train[0][name], again.train[0][name]
        )
    assert any(
        not np.array_equal(first.train[0][name], other.train[0][name])
        for name in ("user", "movie")
    )


@pytest.mark.slow
def test_prepared_data(tfds_data_dir):
    data = load(tfds_data_dir, hashed=False)
    check(data)
    _, y = together(data)
    assert 0.45 < y["watch"].mean() < 0.55
    assert 3.3 < np.nanmean(y["rating"]) < 3.8


@pytest.mark.parametrize(
    "arguments, message",
    [({"seed": -1}, "`seed` must be"), ({"hashed": "yes"}, "`hashed` must be")],
)
def test_arguments(data_dir, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(data_dir, **arguments)


def test_no_data(tmp_path):
    with pytest.raises(FileNotFoundError, match="'movielens' is not in"):
        load(tmp_path)


class TestStandIn:
    def test_has_the_kinds_of_movielens(self):
        data = movielens_stand_in(users=40, movies=60)
        assert data.stand_in
        assert data.num_ids["movie"] == 10001
        check(data)
        lengths = [len(y["watch"]) for _, y in parts(data)]
        assert lengths[1] == lengths[2] == sum(lengths) // 10

    def test_both_tasks_can_be_learnt(self):
        x, y = movielens_stand_in(users=300).train
        # From the genre and the age alone, which the taste depends on.
        groups = x["age"] * 10 + x["genres"][:, 0]
        watched = y["watch"] == 1
        for labels, rows in (
            (y["watch"], watched | True),
            (y["rating"], watched),
        ):
            cells = [labels[rows & (groups == g)] for g in np.unique(groups)]
            explained = sum(len(c) * (c.mean() - labels[rows].mean()) ** 2
                            for c in cells if len(c))  # fmt: skip
            assert explained / rows.sum() > 0.05 * labels[rows].var()

    def test_the_seed(self):
        first, again = (movielens_stand_in(users=9) for _ in "ab")
        other = movielens_stand_in(users=9, seed=1)
        np.testing.assert_array_equal(
            first.train[0]["movie"], again.train[0]["movie"]
        )
        assert not np.array_equal(
            first.test[0]["movie"], other.test[0]["movie"]
        )

    @pytest.mark.parametrize(
        "arguments, message",
        [
            ({"users": 0}, "`users` must be"),
            ({"movies": 9}, "`movies` must be"),
            ({"movies": 10001}, "`movies` must be at most 10000"),
            ({"seed": -1}, "`seed` must be"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            movielens_stand_in(**arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
