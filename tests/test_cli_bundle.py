"""`teehee bundle`: a running agent's evidence as one file, which then verifies with nobody to ask."""

import json
from pathlib import Path

from teehee.testing import running, teehee


async def test_the_file_of_an_agent_that_runs_here_verifies_when_it_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "wren.json"
    async with running(tmp_path / "data", ["wren"]) as up:
        await up.say("hello", id="1")
        written = await teehee("bundle", file, "--data", tmp_path / "data", "--nonce", "c0ffee")
        afar = await teehee("bundle", tmp_path / "afar.json", "--from", up.url, "--json")

    root = tmp_path / "data" / "dev-root.pem"
    verdict = await teehee("verify", file, "--dev-root", root, "--nonce", "c0ffee", "--json")

    assert written.code == 0, written.err
    assert "with Intel's word on its platform (from simulator)" in written.out
    assert f"check it: teehee verify {file}" in written.out
    assert (verdict.code, verdict.json["rejects"], verdict.json["rung"]) == (0, [], 2)
    assert (afar.json["trust"], afar.json["collateral"]) == ("dev", True)
    assert afar.json["bytes"] == len((tmp_path / "afar.json").read_bytes())


async def test_a_bundle_without_collateral_says_so_and_takes_the_checkers_own(tmp_path: Path) -> None:
    file, bare, word = tmp_path / "b.json", tmp_path / "bare.json", tmp_path / "collateral.json"
    async with running(tmp_path / "data", ["wren"]) as up:
        await teehee("bundle", file, "--from", up.url)
    members = json.loads(file.read_text())
    word.write_text(members["collateral"])
    bare.write_text(json.dumps({**members, "collateral": "", "collateral_from": ""}))
    root = tmp_path / "data" / "dev-root.pem"

    copied = await teehee("bundle", tmp_path / "copy.json", "--from", bare)
    without = await teehee("verify", bare, "--dev-root", root, "--json")
    own = await teehee("verify", bare, "--dev-root", root, "--collateral", word, "--json")

    assert "without collateral: no check can show the hardware" in copied.out
    assert (without.code, without.json["rung"]) == (5, 0)
    assert (own.code, own.json["rung"]) == (0, 2)


async def test_what_cannot_be_written_or_fetched_is_told_with_the_way_out(tmp_path: Path) -> None:
    nobody = await teehee("bundle", tmp_path / "b.json", "--data", tmp_path / "data")
    away = await teehee("bundle", tmp_path / "b.json", "--from", "http://127.0.0.1:9")
    (tmp_path / "no.json").write_text("{}")
    none = await teehee("bundle", tmp_path / "b.json", "--from", tmp_path / "no.json")

    assert (nobody.code, away.code) == (2, 4)
    assert "no agent runs in this data folder" in nobody.err
    assert "name an agent's address with --from URL" in nobody.err
    assert "cannot be reached" in away.err
    assert none.code == 5
    assert not (tmp_path / "b.json").exists()
