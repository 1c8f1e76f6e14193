"""The words of a document: text as it is, PDFs by the child process that reads them."""

import asyncio
import codecs
from pathlib import PurePosixPath

from teehee.character import pdf
from teehee.mind.files import Unread

LONGEST = 4000  # characters of one document that a prompt holds
LOOKED_AT = 64 << 10  # bytes of a text
PDF_TYPE = "application/pdf"
TEXT_TYPES = frozenset(
    "application/json application/x-ndjson application/xml application/yaml application/x-yaml application/toml"
    " application/csv application/javascript application/x-sh application/sql".split()
)
TEXT_ENDINGS = frozenset(
    ".txt .md .markdown .csv .tsv .json .jsonl .xml .html .htm .yaml .yml .toml .ini .cfg .log .rst .tex .srt .py .js"
    " .ts .rs .go .java .c .h .cpp .cs .rb .php .sh .sql .sol .css".split()
)
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
PLAIN = "\r\n\t\f\u00a0\u00ad\u200b\u2028\u2029"  # what texts hold beside letters that print
LIMITS = pdf.Limits(
    wait_seconds=10.0, cpu_seconds=8, read_seconds=5.0, memory_bytes=512 << 20, answer_bytes=1 << 20, pages=50,
    characters=4 * LONGEST,
)  # fmt: skip
_pdfs = asyncio.Semaphore(2)  # children at once


def is_readable(name: str, mime: str) -> bool:
    """Does what the sender says of a document name one of a kind that is read here?"""
    kind, ending = mime.partition(";")[0].strip().lower(), PurePosixPath(name.lower()).suffix
    is_text = kind.startswith("text/") or kind in TEXT_TYPES or kind.endswith(("+json", "+xml"))
    return is_text or kind == PDF_TYPE or ending in TEXT_ENDINGS or ending == ".pdf"


async def words(content: bytes) -> str:
    """The document's beginning, LONGEST characters at most; what it is, its bytes say. Raises Unread."""
    if content[:1024].lstrip().startswith(b"%PDF-"):
        return await _of_pdf(content)
    return _short(_decoded(content[:LOOKED_AT]), is_all=len(content) <= LOOKED_AT)


async def _of_pdf(content: bytes) -> str:
    async with _pdfs:
        found = await asyncio.to_thread(pdf.extract, content, LIMITS)
    problem = found.problem.partition(";")[0]
    if not found.texts:
        raise Unread(f"which {problem}", for_now=not found.is_lasting)
    text = _short("\n\n".join(page.strip() for page in found.texts), is_all=True)
    return f"{text}\n(it {problem})" if problem and len(text) < LONGEST else text


def _decoded(content: bytes) -> str:
    """Text in UTF-8 or UTF-16, or in the older code that everything else is read as. Raises Unread for no text."""
    mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
    code = MARKS.get(mark, "utf-8")
    try:
        text = codecs.getincrementaldecoder(code)().decode(content[len(mark) :])
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    odd = sum(1 for letter in text if not letter.isprintable() and letter not in PLAIN)
    if odd > 2 + len(text) // 100:
        raise Unread("which is not the text it says it is")
    return text


def _short(text: str, *, is_all: bool) -> str:
    """The beginning of a text without control characters, and a note when there is more."""
    plain = "\n".join(text[: 2 * LONGEST].splitlines())
    kept = "".join(letter for letter in plain if letter.isprintable() or letter in "\n\t").strip()
    if not kept:
        raise Unread("which is empty")
    if len(kept) <= LONGEST and len(text) <= 2 * LONGEST and is_all:
        return kept
    return f"{kept[:LONGEST].rstrip()}\n(only its beginning is told here)"
