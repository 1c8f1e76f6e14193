"""Many updates, as `make telegram` measures them, at a size of seconds: none is lost, none is handled twice.

A lane raises Wrong, naming what was lost, doubled or over a limit; what it gives has been checked.
"""

from pathlib import Path

import bench_telegram

UPDATES = 1_500


async def test_updates_given_up_to_five_times_in_any_order_are_each_handled_once(tmp_path: Path) -> None:
    found = await bench_telegram.often(tmp_path, UPDATES, rooms=40)

    assert found["updates"] == UPDATES
    assert found["deliveries"] > 1.5 * UPDATES
    assert found["most_deliveries"] == 5
    assert found["answered_once"] == found["addressed"] > 10


async def test_a_flood_of_questions_is_answered_within_telegrams_limits(tmp_path: Path) -> None:
    found = await bench_telegram.load(tmp_path, rooms=40, per_second=60, seconds=2.0, addressed=1.0)

    assert found["addressed"] > 80
    assert found["seconds_until_all_was_said"] > found["addressed"] / 30 - 1
