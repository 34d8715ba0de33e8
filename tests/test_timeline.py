import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtvox.timeline import Timeline


def test_what_was_never_written_is_not_there() -> None:
    timeline = Timeline(8)
    assert timeline.read(0, np.zeros(4, np.float32)) == (0, 0)
    timeline.write(0, np.arange(3, dtype=np.float32))
    out = np.full(5, -1.0, np.float32)
    assert timeline.read(0, out) == (0, 3)
    assert out.tolist() == [0.0, 1.0, 2.0, -1.0, -1.0]
    assert timeline.end == 3


def test_a_hole_hides_what_is_before_it() -> None:
    timeline = Timeline(16)
    timeline.write(0, np.ones(4, np.float32))
    timeline.write(6, np.full(4, 2.0, np.float32))
    out = np.zeros(12, np.float32)
    assert timeline.read(2, out) == (4, 8)
    assert out[4:8].tolist() == [2.0] * 4


def test_before_the_beginning_is_silence() -> None:
    timeline = Timeline(16)
    timeline.write(0, np.ones(4, np.float32))
    out = np.full(6, -1.0, np.float32)
    timeline.copy(-2, out)
    assert out.tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60))
def test_equals_a_dictionary(steps: list[tuple[bool, int]]) -> None:
    """Writes and holes at random; whatever read says is there has the value that was written there last."""
    timeline, truth, position = Timeline(64), {}, 0
    for hole, n in steps:
        if not hole:
            values = np.arange(position, position + n, dtype=np.float32) + 0.5
            timeline.write(position, values)
            truth |= dict(zip(range(position, position + n), values.tolist(), strict=True))
        position += n
        begin = max(0, position - 20)
        out = np.zeros(30, np.float32)
        first, last = timeline.read(begin, out)
        assert 0 <= first <= last <= len(out)
        assert all(out[i] == truth[begin + i] for i in range(first, last))
        if not hole:
            assert last == position - begin  # the newest is always there
            assert begin + first == begin or begin + first - 1 not in truth
