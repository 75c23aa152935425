import errno
import json
import math
import os
import threading
import time

import keras
import pytest

from keras_mtl.selection import MixingRatioSearch

# Where all mixes are worth the same, no kernel is better than the others.
pytestmark = pytest.mark.filterwarnings("ignore:The optimal value found for")

BOUNDS = {"main": (1, 20), "tags": (0, 20)}


def share(ratios):
    return ratios["main"] / sum(ratios.values())


def quadratic(ratios):
    return -((share(ratios) - 0.37) ** 2)


def best_mix():
    low, high = zip(*BOUNDS.values(), strict=True)
    mixes = [
        {"main": main, "tags": tags}
        for main in range(low[0], high[0] + 1)
        for tags in range(low[1], high[1] + 1)
        if math.gcd(main, tags) == 1
    ]
    return max(mixes, key=quadratic)


def make(bounds=BOUNDS, **kwargs):
    return MixingRatioSearch(bounds, **{"seed": 0, **kwargs})


class TestSearch:
    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(2))
    def test_finds_the_maximum_of_a_quadratic(self, seed):
        best = make(seed=seed).run(quadratic, 15, verbose=0)
        assert best.ratios == best_mix() == {"main": 10, "tags": 17}
        assert best.value == quadratic(best.ratios)

    @pytest.mark.slow
    def test_finds_a_minimum(self):
        search = make(mode="min")
        best = search.run(lambda r: -quadratic(r), 15, verbose=0)
        assert best.ratios == best_mix()

    @pytest.mark.slow
    def test_three_tasks(self):
        bounds = {"main": (1, 6), "tags": (0, 6), "noise": (0, 6)}

        def value(ratios):
            total = sum(ratios.values())
            return -((ratios["tags"] / total - 0.4) ** 2) - (
                ratios["noise"] / total
            )

        best = make(bounds).run(value, 20, verbose=0)
        assert best.ratios == {"main": 3, "tags": 2, "noise": 0}

    def test_never_evaluates_a_mix_twice(self):
        search = make({"main": (1, 4), "tags": (0, 4)}, num_initial=3)
        search.run(lambda r: 0.0, 100, verbose=0)
        shares = [share(e.ratios) for e in search.evaluations]
        # All mixes of the bounds, each of them once: 2:2 is 1:1.
        expected = {m / (m + t) for m in range(1, 5) for t in range(5)}
        assert len(shares) == len(expected) == len(set(shares))
        assert set(shares) == expected
        assert search.suggest() is None

    def test_first_mixes_are_random(self):
        first = [
            tuple(make(seed=seed).suggest().values()) for seed in range(20)
        ]
        assert len(set(first)) > 10

    def test_more_mixes_than_can_be_looked_at(self):
        bounds = {f"task {i}": (0, 9) for i in range(8)}
        search = make(bounds, num_initial=2)
        search.run(lambda r: r["task 0"] / sum(r.values()), 4, verbose=0)
        assert len({tuple(e.ratios.values()) for e in search.evaluations}) == 4

    @pytest.mark.slow
    def test_a_training_that_failed_is_the_worst(self):
        def value(ratios):
            return math.nan if share(ratios) < 0.3 else quadratic(ratios)

        search = make()
        best = search.run(value, 15, verbose=0)
        assert best.ratios == best_mix()
        assert any(math.isnan(e.value) for e in search.evaluations)

    def test_all_trainings_failed(self):
        search = make({"main": (1, 2), "tags": (0, 2)}, num_initial=1)
        with pytest.raises(ValueError, match="No mix with a finite value"):
            search.run(lambda r: math.inf, 3, verbose=0)
        assert len(search.evaluations) == 3

    def test_default_seed_is_that_of_keras(self):
        def first():
            keras.utils.set_random_seed(5)
            return MixingRatioSearch(BOUNDS).suggest()

        assert first() == first()

    def test_shows_its_progress(self, capsys):
        make().run(quadratic, 2)
        assert "2/2" in capsys.readouterr().out


class TestFile:
    def test_goes_on_as_if_never_interrupted(self, tmp_path):
        path = tmp_path / "new" / "mixes.jsonl"
        whole = make()
        whole.run(quadratic, 8, verbose=0)
        make(path=path).run(quadratic, 4, verbose=0)
        resumed = make(path=path)
        assert len(resumed.evaluations) == 4
        calls = []
        resumed.run(lambda r: calls.append(r) or quadratic(r), 8, verbose=0)
        assert len(calls) == 4
        assert resumed.evaluations == whole.evaluations
        assert len(path.read_text().splitlines()) == 8

    def test_a_line_that_was_cut_off_is_dropped(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        search = make(path=path)
        search.run(quadratic, 3, verbose=0)
        path.write_text(path.read_text()[:-5])
        with pytest.warns(UserWarning, match="mixes.jsonl'.*left out: {.rat"):
            resumed = make(path=path)
        assert resumed.evaluations == search.evaluations[:2]
        resumed.run(quadratic, 3, verbose=0)
        assert make(path=path).evaluations == search.evaluations

    def test_a_line_to_which_the_next_one_was_glued(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        search = make(path=path)
        search.run(quadratic, 3, verbose=0)
        first, second, third = path.read_text().splitlines(keepends=True)
        path.write_text(first[:30] + second + third)
        with pytest.warns(UserWarning, match="1 part"):
            resumed = make(path=path)
        assert resumed.evaluations == search.evaluations[1:]

    def test_a_full_disk_loses_no_value(self, tmp_path, monkeypatch):
        path = tmp_path / "mixes.jsonl"
        search = make(path=path)
        search.run(quadratic, 1, verbose=0)
        written = path.read_text()

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space.*mixes.jsonl'") as info:
                search.run(quadratic, 2, verbose=0)
        assert path.read_text() == written
        assert len(search.evaluations) == 1
        [note] = info.value.__notes__
        ratios = search.suggest()
        assert f"add({ratios}, {quadratic(ratios)})" in note
        search.add(ratios, quadratic(ratios))
        assert make(path=path).evaluations == search.evaluations

    def test_two_searches_take_different_mixes(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        first, second = make(path=path), make(path=path)
        for _ in range(4):  # of whose mixes the first five are random
            mixes = [search.suggest() for search in (first, second)]
            assert mixes[0] != mixes[1]
            for search, ratios in zip(
                (second, first), mixes[::-1], strict=True
            ):
                search.add(ratios, quadratic(ratios))
        found = [tuple(e.ratios.values()) for e in make(path=path).evaluations]
        assert len(set(found)) == len(found) == 8
        assert [p.name for p in tmp_path.iterdir()] == ["mixes.jsonl"]

    def test_another_search_has_found_the_rest(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        first = make(path=path)
        make(path=path).run(quadratic, 6, verbose=0)
        first.run(pytest.fail, 6, verbose=0)
        assert len(first.evaluations) == 6

    def test_searches_at_the_same_time_repeat_nothing(self, tmp_path):
        """In threads, which the locks tell apart as they do processes."""
        bounds, path = {"main": (1, 4), "tags": (0, 4)}, tmp_path / "mixes"

        def value(ratios):
            time.sleep(0.02)
            return 0.0

        def search():
            make(bounds, path=path, num_initial=9).run(value, 100, verbose=0)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        shares = {share(row["ratios"]) for row in rows}
        assert shares == {m / (m + t) for m in range(1, 5) for t in range(5)}
        assert len(rows) == len(shares)

    def test_an_evaluation_that_fails_leaves_its_mix_to_others(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        search = make(path=path)

        def fail(ratios):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search.run(fail, 3, verbose=0)
        assert make(path=path).suggest() == make().suggest()

    def test_lines_are_json(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        search = make(path=path)
        search.add({"main": 4, "tags": 2}, 0.5)
        search.add({"main": 1, "tags": 0}, math.nan)
        assert [json.loads(line) for line in path.read_text().splitlines()] == [
            {"ratios": {"main": 2, "tags": 1}, "value": 0.5, "mode": "max"},
            {"ratios": {"main": 1, "tags": 0}, "value": None, "mode": "max"},
        ]
        assert math.isnan(make(path=path).evaluations[1].value)

    def test_refuses_the_file_of_other_tasks(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        make(path=path).add({"main": 1, "tags": 1}, 0.5)
        with pytest.raises(ValueError, match="not hold the mixes.*'other'"):
            make({"main": (1, 2), "other": (0, 2)}, path=path)

    def test_refuses_the_file_of_another_search(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        make(path=path).add({"main": 2, "tags": 1}, 0.5)
        for arguments in (
            {"mode": "min"},
            {"bounds": {"main": (1, 1), "tags": (0, 1)}},
        ):
            with pytest.raises(ValueError, match="not hold the mixes.*line"):
                make(path=path, **arguments)

    def test_reads_lines_without_a_mode(self, tmp_path):
        path = tmp_path / "mixes.jsonl"
        path.write_text('{"ratios": {"main": 2, "tags": 1}, "value": 0.5}\n')
        assert make(path=path, mode="min").best.value == 0.5

    @pytest.mark.parametrize(
        "line",
        [
            "main,tags",
            "[1, 2]",
            '{"main": 1}',
            '{"ratios": null, "value": 1}',
            '{"ratios": "main", "value": 1}',
            '{"ratios": ["main", "tags"], "value": 1}',
            '{"ratios": {"main": "1", "tags": 1}, "value": 1}',
            '{"ratios": {"main": 1, "tags": 1}}',
            '{"ratios": {"main": 1, "tags": 1}, "value": true}',
            '{"ratios": {"main": 1, "tags": 1}, "value": "0.5"}',
            '{"ratios": {"main": 1, "tags": 1}, "value": [0.5]}',
        ],
    )
    def test_refuses_other_files(self, tmp_path, line):
        path = tmp_path / "notes.txt"
        path.write_text(f"{line}\n")
        with pytest.raises(ValueError, match="not hold the mixes.*the line"):
            make(path=path)
        assert path.read_text() == f"{line}\n"

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null"])
    def test_what_is_not_finite_is_a_training_that_failed(
        self, tmp_path, value
    ):
        path = tmp_path / "mixes.jsonl"
        path.write_text(
            f'{{"ratios": {{"main": 2, "tags": 1}}, "value": {value}}}\n'
        )
        assert math.isnan(make(path=path).evaluations[0].value)

    def test_refuses_a_folder(self, tmp_path):
        with pytest.raises(ValueError, match="`path` must be a file.*folder"):
            make(path=tmp_path)


class TestBadInput:
    @pytest.mark.parametrize(
        "bounds",
        [
            {},
            ["main"],
            {"main": 3},
            {"main": (1, 2, 3)},
            {"main": ("1", 2)},
            {"main": (3, 1)},
            {"main": (-1, 1)},
            {"main": (0, 0)},
            {"main": (0, 1.5)},
        ],
    )
    def test_bounds(self, bounds):
        by_task = bounds and isinstance(bounds, dict)
        of_task = " of task 'main'" if by_task else ""
        message = f"`bounds`{of_task} must be.*Received"
        with pytest.raises(ValueError, match=message):
            make(bounds)

    @pytest.mark.parametrize(
        "name, value",
        [
            ("mode", "auto"),
            ("num_initial", 0),
            ("noise", 0),
            ("seed", -1),
            ("path", 3),
        ],
    )
    def test_arguments(self, name, value):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            make(**{name: value})

    @pytest.mark.parametrize(
        "ratios",
        [
            {"main": 1},
            {"main": 0, "tags": 0},
            {"main": 1, "tags": 0.5},
            {"main": 1, "tags": 100},
        ],
    )
    def test_ratios(self, ratios):
        with pytest.raises(ValueError, match="`ratios` must"):
            make().add(ratios, 1.0)

    @pytest.mark.parametrize("evaluate", [None, "train"])
    def test_evaluate(self, evaluate):
        with pytest.raises(ValueError, match="`evaluate` must.*Received"):
            make().run(evaluate, 3)

    @pytest.mark.parametrize("value", [None, [0.5, 0.6], "good", {"a": 1}])
    def test_what_evaluate_returns(self, value):
        search = make()
        values = iter([0.5, value])
        message = r"`evaluate`.*add\(\{'main'.*Received"
        with pytest.raises(ValueError, match=message):
            search.run(lambda ratios: next(values), 3, verbose=0)
        assert [e.value for e in search.evaluations] == [0.5]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
