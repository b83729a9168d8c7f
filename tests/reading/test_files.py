"""From bytes to lines: compression, encodings, ends of lines, and what is refused."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from helpers.reading.files import LONGEST_LINE, CorpusError, decoded, raw_lines

LINES = ["Anna läs", "", "国 Ωmega\u2028one line"]
TEXT = "\n".join(LINES) + "\n"


def read(path, content: bytes) -> list[tuple[int, str]]:
    path.write_bytes(content)
    return list(decoded(path, raw_lines(path)))


def tar(mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        info = tarfile.TarInfo("news/words.txt")
        info.size = len(TEXT.encode())
        archive.addfile(info, io.BytesIO(TEXT.encode()))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("news.txt", TEXT)
    return file.getvalue()


@pytest.mark.parametrize("name", ["a.txt", "a", "a.raw", "a.gz", "a.bz2", "a.xz", "a.txt.GZ"])
@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lzma.compress])
def test_compression_is_told_by_the_content_whatever_the_name(tmp_path, name, squeeze):
    assert read(tmp_path / name, squeeze(TEXT.encode())) == list(enumerate(LINES, start=1))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_ends_of_lines(tmp_path, encoding, end):
    content = TEXT.replace("\n", end).encode(encoding)
    for packed in (content, gzip.compress(content)):
        assert read(tmp_path / "a.txt", packed) == list(enumerate(LINES, start=1))
    big_endian = b"\xfe\xff" + TEXT.encode("utf-16-be")
    assert read(tmp_path / "a.txt", big_endian) == list(enumerate(LINES, start=1))


def test_a_carriage_return_among_line_feeds_ends_no_line(tmp_path):
    assert read(tmp_path / "a.txt", b"one\rtwo\r\r\nthree") == [(1, "one\rtwo"), (2, "three")]
    assert [text for _, text in read(tmp_path / "a.txt", b"one\rtwo\r\n") if text] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(), "a zip archive, which is not read; unzip it"),
        (gzip.compress(zipped()), "a zip archive"),
        (tar("w"), r"a tar archive, .*\(tar -xf a.txt\)"),
        (tar("w:gz"), "a tar archive, compressed or not"),
        (tar("w:bz2"), "a tar archive"),
        (tar("w:xz"), "a tar archive"),
        (b"\x28\xb5\x2f\xfd\0\0", r"compressed with zstd, .*\(zstd -d a.txt\)"),
        (b"7z\xbc\xaf\x27\x1c\0", "a 7z archive"),
        (b"%PDF-1.7\n", r"a PDF, .*pdftotext"),
        (b"PAR1\0", "a Parquet table"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"good\n\x89PNG\0\0\n", "a.txt:2: not UTF-8"),
        (b"good\nA\0B\0\n", r"a.txt:2: holds NUL bytes, .*iconv -f UTF-16LE -t UTF-8 a.txt"),
        (
            "“læs”\n".encode("cp1252"),
            r"a.txt:1: not UTF-8 \(byte 0x93 .*If it is Windows-1252: iconv -f CP1252",
        ),
        (gzip.compress(gzip.compress(b"Anna\n")), "a.txt: compressed twice. Unpack it once"),
        (rb"{\rtf1\ansi Anna}", "a.txt: a document in Rich Text Format"),
        ("læs\n".encode("latin-1"), r"a.txt:1: not UTF-8 \(byte 0xe6 at position 2\).*iconv -f LATIN1"),
        ("国 læs".encode() + b"\xff", r"a.txt:1: not UTF-8 \(byte 0xff at position 9\)"),
        (b"\xff\xfeA\0\x00\xd8", "begins like UTF-16-LE, but goes on otherwise"),
        (gzip.compress(TEXT.encode() * 99)[:-9], "cannot be read.*complete"),
        (bz2.compress(TEXT.encode() * 99)[:-9], "cannot be read.*complete"),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(CorpusError, match=message):
        read(tmp_path / "a.txt", content)


@pytest.mark.parametrize("name", ["a.gz", "a.bz2", "a.XZ"])
def test_a_name_that_promises_compression_is_not_believed(tmp_path, name):
    with pytest.raises(CorpusError, match="cannot be read: it is named like .*leave the ending out"):
        read(tmp_path / name, b"<html>404</html>")
    assert read(tmp_path / name, b"") == []


def test_a_long_line_comes_in_parts_that_are_cut_at_blanks(tmp_path):
    long = " ".join(f"wörd{k}" for k in range(10_000))
    lines = read(tmp_path / "a.txt", f"one\n{long}\n{'x' * 50_000}\nfour".encode())
    assert [number for number, _ in lines] == [1] + 5 * [2] + 3 * [3] + [4]
    assert "".join(line for number, line in lines if number == 2) == long
    assert all(line.endswith(" ") for number, line in lines[1:5])
    assert max(len(line) for _, line in lines) == LONGEST_LINE
    assert lines[-1] == (4, "four")
