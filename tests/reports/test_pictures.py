"""Pictures that a run left in its folder: in the page where they are pictures, and bounded."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import pytest

from reports import page_samples as samples
from tocsin.reports import pictures as room
from tocsin.reports.html import render
from tocsin.reports.pictures import pictures
from tocsin.run import Run


def png(width=3, height=2):
    """A real PNG of one grey."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture
def run(tmp_path):
    (tmp_path / "pictures").mkdir()
    return Run.of("r", path=tmp_path, source="tocsin")


def keep(run, name, data):
    (run.path / "pictures" / name).write_bytes(data)


def test_pictures_are_in_the_page_by_name(run):
    keep(run, "b_after.png", png(30, 20))
    keep(run, "a <b>.png", png())
    own = replace(samples.faulty_run(), path=run.path, source="tocsin")
    html = render(samples.faulty_report(own), [own], pictures=pictures([own]))
    assert html.index("a &lt;b&gt;") < html.index('width="30" height="20" alt="b after"')
    assert "img-src data:" in html


def test_what_is_no_picture_stays_out(run, tmp_path):
    keep(run, "text.png", b"<script>")
    keep(run, "cut.png", png()[:20])
    keep(run, "wide.png", png(5000, 1))
    keep(run, "large.png", png() + b"0" * (2 << 20))
    (tmp_path / "elsewhere").write_bytes(png())
    (run.path / "pictures" / "link.png").symlink_to(tmp_path / "elsewhere")
    assert pictures([run]) == [()]


def test_foreign_logs_and_runs_without_a_folder_have_none(run, tmp_path):
    keep(run, "a.png", png())
    assert pictures([replace(run, source="csv"), Run.of("memory"), replace(run, path=tmp_path / "absent")]) == [
        (),
        (),
        (),
    ]


def test_many_are_bounded_over_all_runs(run, monkeypatch):
    for k in range(room.MOST + 3):
        keep(run, f"{k:02}.png", png())
    assert [len(found) for found in pictures([run, run])] == [room.MOST, 0]
    monkeypatch.setattr(room, "_MOST_IN_ALL", 3 * len(pictures([run])[0][0].data))
    assert [len(found) for found in pictures([run])] == [3]
