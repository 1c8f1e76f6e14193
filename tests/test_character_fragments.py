"""What a character knows: texts and files in, fragments out; nothing outside its folder read, nothing read twice."""

import io
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pypdf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdfs import page, pdf_of, zipped
from teehee.character import fragments, kept, pdf
from teehee.character.fragments import places, read
from teehee.character.model import Knowledge
from teehee.character.pdf import Limits
from teehee.character.split import ABOUT, MOST, split

SECRET = "the key to the cellar is under the third stone"
PROSE = "Moths read at night, and nobody minds them. " * 100
CHAPTERS = (
    "# Ada\n\nShe counts.\n\n",
    "## Early\n\nBorn in 1815.\n\n",
    "## Late\n\n```sh\n# no heading\nls\n```\nThe end.",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A character's folder, next to something that is none of its business."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/cellar.md").write_text(SECRET)
    (tmp_path / "ada").mkdir()
    return tmp_path / "ada"


def paths(*names: str) -> list[Knowledge]:
    return [Knowledge(path=name) for name in names]


def refused(items: Sequence[Knowledge], folder: Path | None) -> str:
    """The one warning there is, when nothing was read."""
    found, [warning] = read(items, folder)
    assert found == ()
    return warning


def encrypted(user: str) -> bytes:
    writer = pypdf.PdfWriter(pypdf.PdfReader(io.BytesIO(pdf_of(page()))))
    writer.encrypt(user, "owner", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


COSTLY_PAGE = zipped(b"BT /F1 12 Tf " + b"(a) Tj 0 1 Td " * 450_000 + b"ET")  # a few kB that take seconds


def link(target: str) -> Callable[[Path], None]:
    return lambda place: place.symlink_to(target)


# Texts


def test_a_text_is_a_fragment_and_keeps_its_source_and_mark() -> None:
    items = [Knowledge("Moths read.\r\n"), Knowledge("So do owls.", source="owls", shared=True), Knowledge("At night.")]

    assert read(items, None) == (
        (
            Knowledge("Moths read.", "", 0),
            Knowledge("So do owls.", "owls", 0, shared=True),
            Knowledge("At night.", "", 1),
        ),
        (),
    )


def test_a_long_text_is_split_and_its_positions_go_on_after_it() -> None:
    found, warnings = read([Knowledge(PROSE), Knowledge("# one\n## short\ntext"), Knowledge(" \n")], None)

    assert warnings == ()
    assert [item.position for item in found] == list(range(len(found)))
    assert found[-1].text == "# one\n## short\ntext"
    assert "".join(item.text for item in found[:-1]).replace(" ", "") == PROSE.replace(" ", "")


# Splitting


def test_a_heading_starts_a_fragment_and_stays_with_its_text() -> None:
    assert split("".join(CHAPTERS)) == [chapter.strip() for chapter in CHAPTERS]


def test_headings_with_nothing_between_them_stay_together() -> None:
    assert split("intro\n\n# Ada\n\n## Early\nBorn.\n# Late\n") == ["intro", "# Ada\n\n## Early\nBorn.", "# Late"]


def test_a_heading_is_never_left_alone_by_a_long_text() -> None:
    first, *_ = split("# " + "Ada and the moths " * 20 + "\n\n" + PROSE)

    assert first.startswith("# Ada")
    assert "Moths read at night, and nobody minds them." in first


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_a_heading_in_a_code_block_is_a_comment(fence: str) -> None:
    block = f"{fence}sh\n# build\nmake\n```x\n# run\n{fence}"

    assert split(f"{block}\n# Ada\nShe.") == [block, "# Ada\nShe."]


def test_a_code_block_that_never_ends_goes_on_to_the_end() -> None:
    assert split("```\n# a\nb\n# c") == ["```\n# a\nb\n# c"]


@pytest.mark.parametrize("line", ["#ada", "####### ada", "    # ada", "#!/bin/sh", "see # ada"])
def test_what_only_looks_like_a_heading_starts_nothing(line: str) -> None:
    assert split(f"one\n{line}\ntwo") == [f"one\n{line}\ntwo"]


def test_fragments_end_where_paragraphs_do() -> None:
    paragraph = "Moths read. " * 50 + "So."

    assert split("\n\n".join([paragraph] * 5)) == [f"{paragraph}\n\n{paragraph}"] * 2 + [paragraph]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    assert all(piece.endswith("them.") for piece in split(PROSE))


def test_a_long_code_block_is_cut_between_lines() -> None:
    line = 'print("Wait! Where? Here. There.", end="")'

    lines = [part for piece in split("```\n" + f"{line}\n" * 200 + "```") for part in piece.split("\n")]

    assert lines == ["```", *[line] * 200, "```"]


def test_a_text_without_spaces_is_cut_between_its_sentences() -> None:
    assert {piece[-1] for piece in split("蛾は夜に読む。" * 500)} == {"。"}


def test_a_word_longer_than_a_fragment_is_cut_and_no_other() -> None:
    assert [len(piece) for piece in split("a " + "b" * MOST + " " + "c" * (MOST + 1))] == [1, MOST, MOST, 1]


UNITS = [
    "a",
    "b ",
    "#",
    "# ",
    "## Ada\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "```",
    "```\n",
    "~~~\n",
    ". ",
    "。",
    "é\u00a0",
    "`~#",
]
RUNS = st.sampled_from(UNITS) | st.text(max_size=30)
TIMES = st.integers(1, 5) | st.sampled_from([40, 199, 200, 999, 1_000, MOST - 1, MOST, MOST + 1, 4_000])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(RUNS, TIMES), max_size=12))
@example([("# ", 1), ("x", MOST)])
@example([("# ", 1), ("x", MOST - 1), ("\n#\ny", 1)])
@example([("x", 50), ("\n", 1), ("y", MOST + 1)])
def test_no_character_is_lost_and_no_word_is_cut_that_fits(runs: list[tuple[str, int]]) -> None:
    text = "".join(unit * min(times, 6_000 // len(unit or " ")) for unit, times in runs)

    pieces = split(text)

    assert all(0 < len(piece) <= MOST and piece == piece.strip() for piece in pieces)
    kept = iter([word for piece in pieces for word in piece.split()])
    for word in text.split():
        found = next(kept)
        while found != word:
            assert len(word) > MOST
            found += next(kept)
    assert list(kept) == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=3_000))
def test_any_text_survives(text: str) -> None:
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@pytest.mark.parametrize("unit", [PROSE + "\n\n", "# Moths\nread\n", "x", " ", ".", "`", "\n \n"])
def test_a_megabyte_is_split_in_no_time(unit: str) -> None:
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]

    def seconds(text: str) -> float:
        start = time.process_time()
        split(text)
        return time.process_time() - start

    assert seconds(text) < 3.0  # about 0.02 for prose; what must not happen is minutes


# Files and folders


def test_a_file_is_read_next_to_the_character_then_where_eliza_keeps_it(folder: Path) -> None:
    (folder / "knowledge/sub").mkdir(parents=True)
    (folder / "ada.md").write_bytes(b"\xef\xbb\xbf" + "".join(CHAPTERS).replace("\n", "\r\n").encode())
    (folder / "knowledge/ada.md").write_text("not this one")
    (folder / "knowledge/sub/old.TXT").write_text("Found all the same.")

    found, warnings = read([Knowledge(path="ada.md", shared=True), *paths("sub/old.TXT", "./ada.md")], folder)

    assert warnings == ()
    assert found == (
        *(Knowledge(text.strip(), "ada.md", n, shared=True) for n, text in enumerate(CHAPTERS)),
        Knowledge("Found all the same.", "knowledge/sub/old.TXT", 0),
    )


def test_a_folder_is_read_by_name_without_what_is_hidden(folder: Path) -> None:
    for name in ("docs/b.md", "docs/a/z.txt", "docs/a.md", "docs/.hidden.md", "docs/.git/c.md", "docs/c/d/e.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "docs/b2.md").symlink_to("b.md")  # the same file is not known twice

    found, warnings = read([Knowledge("first"), Knowledge(directory="docs"), Knowledge("last")], folder)

    assert warnings == ()
    assert [item.text for item in found] == ["first", "docs/a/z.txt", "docs/a.md", "docs/b.md", "docs/c/d/e.md", "last"]
    assert [item.source for item in found[1:-1]] == [item.text for item in found[1:-1]]


def test_other_kinds_are_named_once_each(folder: Path) -> None:
    (folder / "pics").mkdir()
    for n in range(1000):
        (folder / f"pics/{n:03}.png").touch()
    (folder / "pics/LICENSE").touch()

    found, warnings = read([*paths("pics/005.png"), Knowledge(directory="pics")], folder)

    assert found == ()
    assert warnings == (
        "knowledge 'pics/005.png': is a '.png' file, as are 999 more, expected .md, .txt or .pdf; "
        "save the text of it as one of these",
        "knowledge 'pics/LICENSE': is a file without an ending, expected .md, .txt or .pdf; "
        "save the text of it as one of these",
    )


def test_without_a_folder_a_path_is_warned_about_and_the_rest_is_read() -> None:
    found, warnings = read([*paths("a.md"), Knowledge("still here")], None)

    assert [item.text for item in found] == ["still here"]
    assert warnings == (
        "knowledge 'a.md': this character lies in no folder; save the character as a file next to this one",
    )


def listening(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))


def device(place: Path) -> None:
    try:
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero, which never ends
    except OSError:
        pytest.skip("devices are root's to make")


UNUSUAL: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "absolute": ("/outside/cellar.md", Path.mkdir, "leads out of the character's folder"),
    "dots": ("../outside/cellar.md", Path.mkdir, "leads out of the character's folder"),
    "dots-inside": ("x/../../outside/cellar.md", Path.mkdir, "leads out of the character's folder"),
    "dots-and-back": ("../ada/x", Path.mkdir, "leads out of the character's folder"),
    "link-outside": ("x.md", link("../outside/cellar.md"), "leads out of the character's folder"),
    "link-outside-absolute": ("x.md", link("/etc/passwd"), "leads out of the character's folder"),
    "linked-folder-outside": ("x/cellar.md", link("../outside"), "leads out of the character's folder"),
    "link-in-a-circle": ("x.md", link("x.md"), "cannot be read (Too many levels of symbolic links)"),
    "link-to-nothing": ("x.md", link("nowhere.md"), "does not exist, neither next to the character nor in knowledge/"),
    "fifo": ("x.md", os.mkfifo, "is not a regular file"),
    "socket": ("x.md", listening, "is not a regular file"),
    "device": ("x.md", device, "is not a regular file"),
    "folder": ("x", Path.mkdir, "is not a regular file"),
    "missing": ("y.md", Path.mkdir, "does not exist"),
    "under-a-file": ("x/y.md", Path.touch, "does not exist"),
    "nul": ("x\0.md", Path.mkdir, "cannot be read (not a usable name)"),
    "long": ("x" * 5000, Path.mkdir, "cannot be read (File name too long)"),
    "not-utf-8": ("x.md", lambda place: bad_byte(place), "is not UTF-8 text (byte 46); save it as UTF-8"),
    "utf-16": ("x.md", lambda place: utf_16(place), "is not UTF-8 text (byte 1); save it as UTF-8"),
    "empty": ("x.md", Path.touch, "holds no text; write some, or leave it out"),
    "large": ("x.md", lambda place: large(place), "is larger than 8 MB; split it"),
}


def bad_byte(place: Path) -> None:
    place.write_bytes(SECRET.encode() + b"\xff")


def utf_16(place: Path) -> None:
    place.write_bytes(SECRET.encode("utf-16-le"))


def large(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(fragments.FILE_BYTES + 1)


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_not_a_text_inside_the_folder_is_named_and_not_read(case: str, folder: Path) -> None:
    name, make, problem = UNUSUAL[case]
    make(folder / name.split("/")[0].rstrip("\0") if name[:2] == "x." or name[:2] == "x/" else folder / "x")

    warning = refused(paths(name), folder)

    assert warning.startswith(f"knowledge {name[:200]!r}: {problem}")
    assert SECRET not in warning


def test_a_folder_of_traps_is_read_around_them(folder: Path) -> None:
    docs = folder / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("good")
    (docs / "b.md").symlink_to("../../outside/cellar.md")
    (docs / "c").symlink_to("../../outside")
    os.mkfifo(docs / "d.md")
    (docs / "e").symlink_to(".")
    (docs / "z.md").write_text("good too")

    found, warnings = read([Knowledge(directory="docs")], folder)

    assert [item.text for item in found] == ["good", "good too"]
    assert [warning.split(": ")[0] for warning in warnings] == [
        f"knowledge 'docs/{n}'" for n in ("b.md", "c", "d.md", "e")
    ]


@pytest.mark.parametrize("name", ["../outside", "/", "x", "y", "a.md"])
def test_a_folder_outside_or_none_at_all_is_not_walked(name: str, folder: Path) -> None:
    (folder / "x").symlink_to("../outside")
    (folder / "a.md").write_text("good")

    assert refused([Knowledge(directory=name)], folder).startswith(f"knowledge {name!r}: ")


@pytest.mark.parametrize(
    ("swapped", "says"), [("docs/a.md", "is not a regular file"), ("docs", "cannot be read (Not a directory)")]
)
def test_a_file_swapped_for_a_link_after_it_was_looked_at_is_not_followed(
    swapped: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "docs").mkdir()
    (folder / "docs/a.md").write_text("good")
    (folder.parent / "outside/a.md").write_text(SECRET)
    really_open = os.open

    def swap_then_open(path: str | Path, flags: int, dir_fd: int | None = None) -> int:  # a race, made certain
        if path == folder:  # where the walk down begins, after every look at the path
            (folder / swapped).rename(folder / "gone")
            (folder / swapped).symlink_to(folder.parent / "outside" / ("a.md" if swapped.endswith(".md") else ""))
        return really_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swap_then_open)

    warning = refused(paths("docs/a.md"), folder)

    assert warning.startswith(f"knowledge 'docs/a.md': {says}")


@pytest.mark.parametrize(
    ("make", "says"),
    [(os.mkfifo, "is not a regular file"), (link("../outside/cellar.md"), "cannot be read (Too many levels")],
)
def test_a_file_swapped_at_the_last_moment_is_neither_waited_for_nor_followed(
    make: Callable[[Path], None], says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.md").write_text("good")
    opened = kept.regular_bytes

    def swap_then_open(*asked: object) -> object:  # a race, made certain
        (folder / "a.md").unlink()
        make(folder / "a.md")
        return opened(*asked)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(fragments, "regular_bytes", swap_then_open)

    assert refused(paths("a.md"), folder).startswith(f"knowledge 'a.md': {says}")


def test_a_name_that_is_not_utf_8_can_still_be_stored(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.md")).write_text("good")

    [found], warnings = read([Knowledge(directory=".")], folder, folder.parent / "cache")

    assert (found.text, found.source.encode(), warnings) == ("good", b"?.md", ())


# Bounds


@pytest.mark.parametrize(
    ("bound", "most", "texts", "says"),
    [
        ("FILES", 2, 2, "'docs/2.md': and the files after it are left out: 2 files or 32 MB are the most"),
        ("TOTAL_BYTES", 2_100, 2, "'docs/2.md': and the files after it are left out: 2,000 files or 0 MB are the most"),
        ("CHARACTERS", 2_100, 3, "'docs/2.md': does not fit, nor does what follows: 2,100 characters or 20,000"),
        ("FRAGMENTS", 3, 3, "'docs/2.md': does not fit, nor does what follows: 2,000,000 characters or 3 fragments"),
        ("ENTRIES", 4, 0, "'docs': and what follows is left out: over 4 names to look at; name smaller folders"),
    ],
)
def test_a_bound_is_said_once_and_what_came_before_is_kept(
    bound: str, most: int, texts: int, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "docs").mkdir()
    for n in range(5):
        (folder / f"docs/{n}.md").write_text("x" * 1_000)
    monkeypatch.setattr(fragments, bound, most)

    found, [warning] = read([Knowledge("first"), Knowledge(directory="docs"), *paths("docs/4.md")], folder)

    assert len(found) == 1 + texts - (bound in ("CHARACTERS", "FRAGMENTS"))
    assert warning.startswith(f"knowledge {says}")


def test_warnings_are_bounded_too(folder: Path) -> None:
    found, warnings = read([*paths(*(f"{n}.md" for n in range(500))), Knowledge("still here")], folder)

    assert len(found) == 1
    assert len(warnings) == fragments.WARNINGS + 1
    assert warnings[-1] == "knowledge: 400 more warnings; mend the first ones first"


# PDF


def pdf_warning(data: bytes, folder: Path) -> str:
    (folder / "a.pdf").write_bytes(data)
    return refused(paths("a.pdf"), folder).removeprefix("knowledge 'a.pdf': ")


def test_a_pdf_is_read_page_by_page(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(pdf_of(page("Moths read at night."), page("Owls do not."), b"0 0 m"))

    assert read(paths("a.pdf"), folder) == ((Knowledge("Moths read at night.\n\nOwls do not.", "a.pdf"),), ())


def test_a_pdf_that_opens_without_a_password_is_read(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(encrypted(""))

    [found], warnings = read(paths("a.pdf"), folder)

    assert (found.text, warnings) == ("Moths read at night.", ())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(encrypted("open sesame"), "opens with a password only; save it without one", id="encrypted"),
        pytest.param(b"", "cannot be read as a PDF; save it anew, or as .txt", id="empty"),
        pytest.param(SECRET.encode(), "cannot be read as a PDF; save it anew, or as .txt", id="no-pdf"),
        pytest.param(pdf_of(page())[:300], "cannot be read as a PDF; save it anew, or as .txt", id="cut-off"),
        pytest.param(
            pdf_of(b"10 0 0 10 0 0 cm"),
            "holds no text, only pictures of it perhaps; run text recognition over it, or save it as .txt",
            id="pictures",
        ),
        pytest.param(
            pdf_of(zipped(zipped(b"\0" * 80_000_000)), filters="/Filter [/FlateDecode /FlateDecode]"),
            "cannot be read as a PDF; save it anew, or as .txt",
            id="bomb",
        ),
    ],
)
def test_a_pdf_without_text_for_us_is_one_warning(data: bytes, says: str, folder: Path) -> None:
    assert pdf_warning(data, folder) == says


def limited(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    """What takes 15 s in earnest, in less."""
    monkeypatch.setattr(pdf, "LIMITS", limits)


def test_an_endless_pdf_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, Limits(cpu_seconds=1))

    warning = pdf_warning(pdf_of(COSTLY_PAGE, filters="/Filter /FlateDecode"), folder)

    assert warning == "takes more than 1 s or 1024 MB to read; split it, or save it as .txt"


def test_a_pdf_that_needs_much_memory_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, Limits(memory_bytes=64 << 20))

    warning = pdf_warning(pdf_of(COSTLY_PAGE, filters="/Filter /FlateDecode"), folder)

    assert warning == "takes more than 15 s or 64 MB to read; split it, or save it as .txt"


def test_a_pdf_that_makes_us_wait_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, Limits(wait_seconds=0.01))

    assert (
        pdf_warning(pdf_of(page()), folder) == "was not read within 0.01 s; start again, split it, or save it as .txt"
    )


def test_the_pages_before_a_costly_one_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, Limits(cpu_seconds=1))
    (folder / "a.pdf").write_bytes(pdf_of(zipped(page()), COSTLY_PAGE, filters="/Filter /FlateDecode"))

    [found], [warning] = read(paths("a.pdf"), folder)

    assert found.text == "Moths read at night."
    assert warning == (
        "knowledge 'a.pdf': was read up to page 1 only, the next one is broken or takes too long; split it"
    )


def test_a_broken_page_takes_no_other_along(folder: Path) -> None:
    bomb = zipped(zipped(b"\0" * 80_000_000))
    filters = "/Filter [/FlateDecode /FlateDecode]"
    (folder / "a.pdf").write_bytes(pdf_of(bomb, zipped(zipped(page())), filters=filters))

    [found], [warning] = read(paths("a.pdf"), folder)

    assert found.text == "Moths read at night."
    assert warning == "knowledge 'a.pdf': was read without 1 of its 2 pages, which are broken; save it anew"


def test_a_pdf_of_too_many_pages_is_read_up_to_the_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, Limits(pages=2))
    (folder / "a.pdf").write_bytes(pdf_of(*[page()] * 3))

    [found], [warning] = read(paths("a.pdf"), folder)

    assert found.text == "Moths read at night.\n\nMoths read at night."
    assert warning == "knowledge 'a.pdf': was read up to page 2 only, as many as one file may have; split it"


def test_all_pdfs_together_have_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "PDF_SECONDS", 0.0)
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes(pdf_of(page()))

    found, [warning] = read(paths("a.pdf", "b.pdf"), folder)

    assert [item.source for item in found] == ["a.pdf"]
    assert warning.startswith("knowledge 'b.pdf': was not read, as the PDFs before it took over 0 s")


def test_what_a_broken_font_makes_of_its_letters_can_be_stored(folder: Path) -> None:
    letters = b"beginbfchar <41> <D83D> endbfchar beginbfchar <42> <0000> endbfchar"  # half an emoji, and a NUL
    (folder / "a.pdf").write_bytes(pdf_of(page("MothsAB"), letters=letters))

    [found], warnings = read(paths("a.pdf"), folder)

    assert (found.text, warnings) == ("Moths\ufffd", ())


def test_without_pypdf_a_pdf_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert (
        pdf_warning(pdf_of(page()), folder) == "needs pypdf, which is not installed; install it, or save this as .txt"
    )


def test_a_child_that_was_killed_is_a_warning_and_is_not_remembered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.pdf").write_bytes(pdf_of(page()))
    (tmp_path / "library/pypdf").mkdir(parents=True)
    (tmp_path / "library/pypdf/__init__.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "pypdf")
        patch.syspath_prepend(tmp_path / "library")  # one that is killed, as the kernel does when memory is short
        _, [warning] = read(paths("a.pdf"), folder, tmp_path / "cache")
    [found], _ = read(paths("a.pdf"), folder, tmp_path / "cache")

    assert "was not read, as the process reading it was killed; start again" in warning
    assert found.text == "Moths read at night."


def test_the_child_starts_nothing_itself() -> None:
    with pytest.raises(PermissionError):
        pdf._refuse("subprocess.Popen", ())  # jbig2dec, say; the child has no other front door to this
    pdf._refuse("open", ())


# The cache

AGAIN = """
import json, sys
from pathlib import Path

opened, started = [], []

def watch(event, asked):
    if event == "open":
        opened.append(Path(str(asked[0])).name)
    elif event == "subprocess.Popen":
        started.append(asked[3])  # its environment

sys.addaudithook(watch)
from teehee.character.fragments import read
from teehee.character.model import Knowledge

found, warnings = read([Knowledge(directory=".")], Path(sys.argv[1]), Path(sys.argv[2]))
print(json.dumps({
    "opened": [name for name in opened if name in ("a.md", "b.pdf", "c.pdf", "d.md")],
    "started": started,
    "texts": [item.text for item in found],
    "warnings": warnings,
    "pypdf": "pypdf" in sys.modules,
}))
"""


def again(folder: Path, cache: Path) -> dict[str, object]:
    """Reads the folder in a process that watches what it opens."""
    told = subprocess.run(
        [sys.executable, "-c", AGAIN, folder, cache], capture_output=True, check=True, timeout=50, text=True
    )
    found: dict[str, object] = json.loads(told.stdout)
    return found


@pytest.fixture
def shelf(folder: Path) -> Path:
    (folder / "a.md").write_text("Moths read.")
    (folder / "b.pdf").write_bytes(pdf_of(page()))
    (folder / "c.pdf").write_bytes(b"broken")
    (folder / "d.md").write_bytes(b"\xff")
    return folder


def test_a_file_that_has_not_changed_is_not_opened_again(shelf: Path) -> None:
    cache = shelf.parent / "data/cache"

    first = again(shelf, cache)
    second = again(shelf, cache)

    assert (first["opened"], first["started"]) == (["a.md", "b.pdf", "c.pdf", "d.md"], [{}, {}])
    assert (second["opened"], second["started"]) == ([], [])
    assert first["texts"] == second["texts"] == ["Moths read.", "Moths read at night."]
    assert first["warnings"] == second["warnings"]
    assert not first["pypdf"]


def test_the_cache_is_the_owners_alone_and_holds_one_file_each(shelf: Path) -> None:
    cache = shelf.parent / "data/cache"

    read([Knowledge(directory=".")], shelf, cache)

    assert [stat.S_IMODE(place.stat().st_mode) for place in (cache.parent, cache)] == [0o700] * 2
    assert [stat.S_IMODE(kept.stat().st_mode) for kept in cache.iterdir()] == [0o600] * 4


def test_a_changed_file_is_read_anew(shelf: Path, tmp_path: Path) -> None:
    read([Knowledge(directory=".")], shelf, tmp_path / "cache")
    kept = (shelf / "a.md").stat()
    (shelf / "a.md").write_text("Owls reed.")  # as long as before
    os.utime(shelf / "a.md", ns=(kept.st_atime_ns, kept.st_mtime_ns + 1))

    found, _ = read(paths("a.md"), shelf, tmp_path / "cache")

    assert [item.text for item in found] == ["Owls reed."]


@pytest.mark.parametrize("damage", ["", "[", "[]", "{}", "null", "[1,2,3,4,5]", "[" * 100_000, '[1,"x",[],"abc",""]'])
def test_a_damaged_entry_is_read_anew_and_mended(damage: str, shelf: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    read(paths("a.md"), shelf, cache)
    [kept] = cache.iterdir()
    good = kept.read_text()
    kept.write_text(damage)

    [found], warnings = read(paths("a.md"), shelf, cache)

    assert (found.text, warnings) == ("Moths read.", ())
    assert kept.read_text() == good


def test_what_was_kept_of_a_file_goes_with_it(shelf: Path, tmp_path: Path) -> None:
    cache, other = tmp_path / "cache", tmp_path / "outside"
    read([Knowledge(directory=".")], shelf, cache)
    read([Knowledge(directory=".")], other, cache)
    (cache / "mine.json").write_text("not of the cache")
    (cache / f"{'0' * 64}.jsonabc_1234.tmp").write_text("half")
    (cache / f"{'1' * 64}.jsonabc_1234.tmp").write_text("half")
    os.utime(cache / f"{'0' * 64}.jsonabc_1234.tmp", (0, 0))
    (shelf / "a.md").unlink()

    read([Knowledge(directory=".")], shelf, cache)

    assert len(list(cache.iterdir())) == 3 + 1 + 1 + 1  # ours, the other character's, what is not ours, what is new
    assert (cache / "mine.json").exists()
    assert (cache / f"{'1' * 64}.jsonabc_1234.tmp").exists()


def test_what_may_go_better_next_time_is_not_kept(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, Limits(wait_seconds=0.01))
    read(paths("b.pdf"), shelf, tmp_path / "cache")
    limited(monkeypatch, Limits(wait_seconds=20.0))

    [found], warnings = read(paths("b.pdf"), shelf, tmp_path / "cache")

    assert (found.text, warnings) == ("Moths read at night.", ())


def test_a_cache_that_cannot_be_used_is_one_warning(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")

    [found], [warning] = read(paths("a.md"), shelf, tmp_path / "cache")

    assert found.text == "Moths read."
    assert warning == (
        f"knowledge: what was read cannot be kept in {str(tmp_path / 'cache')!r} (File exists), so it is read anew "
        "each time; mend its permissions or free some space"
    )


def test_about_is_what_a_fragment_is() -> None:
    lengths = [len(piece) for piece in split(PROSE * 20)]

    assert abs(sum(lengths) / len(lengths) - ABOUT) < 100


def test_the_places_that_decide_the_fragments_are_told_there_or_not(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    deep = folder / "knowledge" / "harbour" / "deep"
    deep.mkdir(parents=True)
    for name in ("a.md", ".hidden.md"):
        (deep / name).write_text(name)
    (tmp_path / "outside").mkdir()
    (deep / "link").symlink_to(tmp_path / "outside")
    names = ["gone.md", "../outside/x.md", "/etc/passwd", "a\0b.md"]
    items = [Knowledge(path=name) for name in names] + [Knowledge(directory="harbour")]

    found = {str(place.relative_to(folder)) for place in places(items, folder)}

    inside = {"knowledge/harbour/deep", "knowledge/harbour/deep/a.md", "knowledge/harbour/deep/link"}
    assert found == {"gone.md", "knowledge/gone.md", "harbour", "knowledge/harbour"} | inside
