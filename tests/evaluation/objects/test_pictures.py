"""Pictures of objects: neighbours differ in colour, the worst come first."""

import numpy as np

from delineate.evaluation import InstanceMap, evaluate_instances
from delineate.evaluation.objects.pictures import coloured, object_pictures
from delineate.space import Geometry, Volume

GRID = Geometry.of_image((24, 20))


def squares(count, *, shift=0):
    ids = np.zeros(GRID.shape, np.int32)
    for n in range(count):
        i, j = 6 * (n // 3), 6 * (n % 3)
        ids[i + shift : i + 4 + shift, j : j + 4] = 10 * (n + 1)
    return InstanceMap(ids, GRID)


def test_neighbours_have_different_colours_and_background_none():
    found = coloured(squares(9))
    values = [int(found.array[6 * (n // 3), 6 * (n % 3), 0]) for n in range(9)]
    assert values == [1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert (found.array > 0).sum() == 9 * 16


def test_what_nobody_judged_is_not_shown_and_a_full_map_is_all_objects():
    ignored = InstanceMap(squares(3).array, GRID, ignore=20)
    assert (coloured(ignored).array > 0).sum() == 32
    whole = InstanceMap(np.full(GRID.shape, 7, np.int32), GRID)
    assert (coloured(whole).array == 1).all()


def test_the_worst_pictures_come_first_and_none_twice():
    shifts = {f"case_{n}": n % 3 for n in range(12)}

    def load(case):
        return squares(6), squares(6, shift=shifts[case])

    def look(case):
        return Volume(np.zeros((1, *GRID.shape), np.uint8), GRID), *load(case)

    report = evaluate_instances(list(shifts), load)
    (gallery,) = object_pictures(report, look).parts
    names = [picture.name for picture in gallery.pictures]
    assert len(names) == len(set(names)) == 8
    values = report.values("pq")
    assert values[names[0]] == min(values.values())
    assert values[names[-1]] == max(values.values())


def test_without_any_value_there_are_no_pictures():
    def load(_):
        return squares(0), squares(0)

    report = evaluate_instances(["a"], load)
    (gallery,) = object_pictures(report, lambda case: (None, *load(case))).parts
    assert gallery.pictures == ()
