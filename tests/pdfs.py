"""PDFs written by hand: good ones, and such as nobody means well with."""

import zlib


def page(words: str = "Moths read at night.") -> bytes:
    return b"BT /F1 12 Tf 10 100 Td (%s) Tj ET" % words.encode()


def pdf_of(*contents: bytes, filters: str = "", letters: bytes = b"") -> bytes:
    """A PDF with a page for each content stream, written by hand; `letters` says what its font's codes mean."""
    last = 2 * len(contents) + 4
    kids = " ".join(f"{2 * n + 4} 0 R" for n in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica %s >>"
        % (b"/ToUnicode %d 0 R" % last if letters else b""),
    ]
    for n, content in enumerate(contents):
        resources = f"/Resources << /Font << /F1 3 0 R >> >> /Contents {2 * n + 5} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] {resources} >>".encode())
        objects.append(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filters.encode(), content))
    if letters:
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(letters), letters))
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end


def zipped(content: bytes) -> bytes:
    return zlib.compress(content, 9)
