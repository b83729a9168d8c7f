"""Archives: all that can be read is read, all else is named, and nothing takes more than its allowance."""

import bz2
import gzip
import io
import os
import tarfile
import zipfile

import pytest

from helpers.coursework import archives

NOTEBOOK = b'{"cells": []}'


def zipped(files, method=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files, kind):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{kind}") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def read(path, allowance=None):
    reports = []
    found = archives.notebooks(
        path, lambda *report: reports.append(": ".join(report)), allowance or archives.Allowance()
    )
    return {name: content for name, content in found}, reports


FILES = {"a/01.ipynb": NOTEBOOK, "a/notes.txt": b"x", "__MACOSX/a/._01.ipynb": b"no", "a/._02.ipynb": b"no"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ada.zip", zipped(FILES)),
        ("ada.tar", tarred(FILES, "")),
        ("ada.tar.gz", tarred(FILES, "gz")),
        ("ada.tgz", tarred(FILES, "gz")),
        ("ada.tar.bz2", tarred(FILES, "bz2")),
        ("ada.tar.xz", tarred(FILES, "xz")),
        ("ada.ZIP", tarred(FILES, "gz")),
        ("ada", zipped(FILES)),
        ("ada.zip", zipped({"inner.zip": zipped(FILES)})),
        ("ada.tar.gz", tarred({"inner.zip": zipped({"x.tgz": tarred(FILES, "gz")})}, "gz")),
        ("ada.zip", zipped(FILES, zipfile.ZIP_LZMA)),
    ],
)
def test_archives_are_read_by_their_content_and_in_one_another(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    found, reports = read(tmp_path / name)
    assert list(found.values()) == [NOTEBOOK] and reports == []
    (path,) = found
    assert path.startswith(f"{name}/") and path.endswith("a/01.ipynb")
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / name).rename(folder / (name if archives.ending(name) else f"{name}.zip"))
    assert list(read(folder)[0].values()) == [NOTEBOOK]


@pytest.mark.parametrize(
    ("name", "content", "report"),
    [
        (
            "ada.7z",
            b"7z\xbc\xaf\x27\x1c",
            "ada.7z: is a .7z file, which is not read: unpack it into a folder",
        ),
        ("ada.zip", b"Rar!\x1a\x07", "ada.zip: is a .rar file, which is not read"),
        ("ada.rar", b"?", "ada.rar: is a .rar file"),
        ("ada.zip", b"", "ada.zip: cannot be unpacked (BadZipFile"),
        ("ada.zip", b"PK\x03\x04" + b"\0" * 90, "ada.zip: cannot be unpacked (BadZipFile"),
        ("ada.tar.gz", tarred(FILES, "gz")[:60], "ada.tar.gz: cannot be unpacked (EOFError"),
        ("ada.tar.xz", b"\xfd7zXZ\0rubbish", "ada.tar.xz: cannot be unpacked (LZMAError"),
        ("ada.gz", gzip.compress(NOTEBOOK), "ada.gz: cannot be unpacked"),
        ("ada.tar.bz2", bz2.compress(b"x")[:-3], "ada.tar.bz2: cannot be unpacked"),
        ("ada.docx", b"plain", "ada.docx: is neither a notebook nor an archive"),
        (
            "ada.zip",
            zipped({"1.zip": zipped({"2.zip": zipped({"3.zip": zipped(FILES)})})}),
            "too many archives",
        ),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(name, content, report, tmp_path):
    (tmp_path / name).write_bytes(content)
    found, reports = read(tmp_path / name)
    assert found == {} and len(reports) == 1 and report in reports[0]


def test_a_damaged_entry_costs_no_other(tmp_path):
    content = bytearray(zipped({"1.ipynb": NOTEBOOK * 99, "2.ipynb": NOTEBOOK}, zipfile.ZIP_LZMA))
    start = content.index(b"1.ipynb") + len("1.ipynb")
    content[start + 8 : start + 20] = b"\xff" * 12
    (tmp_path / "ada.zip").write_bytes(content)
    found, (report,) = read(tmp_path / "ada.zip")
    assert found == {"ada.zip/2.ipynb": NOTEBOOK}
    assert report.startswith("ada.zip/1.ipynb: cannot be unpacked (") and "LZMAError" in report


def test_an_encrypted_entry_is_named(tmp_path):
    content = bytearray(zipped({"1.ipynb": NOTEBOOK}))
    for flags in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[flags] |= 1
    (tmp_path / "ada.zip").write_bytes(content)
    found, (report,) = read(tmp_path / "ada.zip")
    assert found == {} and "encrypted" in report


ZEROS = b"\0" * (3 << 20)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ada.zip", zipped({f"{number}.ipynb": ZEROS for number in range(5)})),
        ("ada.zip", zipped({"inner.zip": zipped({"1.ipynb": ZEROS * 4})})),
        ("ada.zip", zipped({"inner.zip": ZEROS * 4})),
        ("ada.tar.gz", tarred({"skipped.bin": ZEROS * 4, "1.ipynb": NOTEBOOK}, "gz")),
        ("ada.tar.xz", tarred({f"{number}.ipynb": ZEROS for number in range(5)}, "xz")),
        ("1.ipynb", ZEROS * 4),
    ],
)
def test_the_limit_of_bytes_holds_for_the_whole_submission(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    allowance = archives.Allowance(bytes=10 << 20)
    found, (report,) = read(tmp_path / name, allowance)
    assert f"{name}: has more than" in report and "ask for the notebooks alone" in report
    assert sum(map(len, found.values())) <= 10 << 20 and -allowance.bytes <= 1 << 20


def test_what_a_zip_file_says_of_an_entrys_length_is_not_believed(tmp_path):
    content = bytearray(zipped({"1.ipynb": ZEROS, "2.ipynb": NOTEBOOK}))
    for place in (content.index(b"PK\x03\x04") + 22, content.index(b"PK\x01\x02") + 24):
        content[place : place + 4] = (100).to_bytes(4, "little")
    (tmp_path / "ada.zip").write_bytes(content)
    found, (report,) = read(tmp_path / "ada.zip")
    assert found == {"ada.zip/2.ipynb": NOTEBOOK} and "ada.zip/1.ipynb: cannot be unpacked" in report


def test_the_limit_of_files_holds_for_the_whole_submission(tmp_path):
    (tmp_path / "ada.zip").write_bytes(zipped({f"{number}.ipynb": NOTEBOOK for number in range(50)}))
    found, (report,) = read(tmp_path / "ada.zip", archives.Allowance(entries=20))
    assert len(found) == 19 and "holds more than" in report


def test_a_notebook_that_is_too_large_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_NOTEBOOK_BYTES", 1 << 20)
    (tmp_path / "ada.zip").write_bytes(zipped({"1.ipynb": ZEROS, "2.ipynb": NOTEBOOK}))
    found, (report,) = read(tmp_path / "ada.zip")
    assert (
        found == {"ada.zip/2.ipynb": NOTEBOOK} and "1.ipynb: has more than 1 MB: ask for it without" in report
    )


def test_links_in_archives_are_named(tmp_path):
    with tarfile.open(tmp_path / "ada.tar", "w") as archive:
        entry = tarfile.TarInfo("1.ipynb")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    assert read(tmp_path / "ada.tar") == (
        {},
        ["ada.tar/1.ipynb: is a link or not an ordinary file: ask for the file itself"],
    )


def test_files_that_cannot_be_opened_are_named(tmp_path, monkeypatch):
    folder = tmp_path / "ada"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    for name in ("1.ipynb", "2.ipynb.txt", ".ipynb_checkpoints/1.ipynb", "results.csv.gz", "3.py"):
        (folder / name).write_bytes(NOTEBOOK)
    os.mkfifo(folder / "4.ipynb")
    opened = type(folder).open

    def refuse(self, *arguments, **keywords):
        if self.name == "1.ipynb":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **keywords)

    monkeypatch.setattr(type(folder), "open", refuse)  # as root, nothing is denied
    found, reports = read(folder)
    assert found == {"ada/2.ipynb.txt": NOTEBOOK}
    assert reports[0].startswith("ada/1.ipynb: cannot be read (Permission denied): make it readable")
    assert reports[1].startswith("ada/4.ipynb: is a link or not an ordinary file")


def test_names_can_be_shown_anywhere():
    assert archives.printable("Löf/01.ipynb") == "Löf/01.ipynb"
    assert archives.printable("a\x1b[2Jb\u202ec\n") == "a\\x1b[2Jb\\u202ec\\n"
    assert archives.printable(os.fsdecode(b"L\xf6f")) == "L?f"
