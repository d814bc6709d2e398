"""The picture of the first demo shows what the guide shows, whose text other tests compare with real output."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("docs_pictures", ROOT / "docs" / "pictures.py")
pictures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pictures)


def test_the_picture_is_that_of_the_guide_and_small():
    guide = pictures.GUIDE.read_text(encoding="utf-8")
    picture = pictures.PICTURE.read_text(encoding="utf-8")
    assert picture == pictures.drawn(pictures.shown(guide)), "run `python docs/pictures.py`"
    assert len(picture) < 200_000


def test_the_picture_holds_both_verdicts_and_the_exit_code_and_fetches_nothing():
    picture = ET.fromstring(pictures.PICTURE.read_bytes())  # noqa: S314 (drawn here)
    texts = [text for text in ("".join(node.itertext()).replace("\xa0", " ") for node in picture.iter()) if text]
    for told in ("AMP003", "AMP004", "'loss': '0'", "$ echo $?"):
        assert any(told in text for text in texts), told
    assert "0" in [text.strip() for text in texts]
    assert "url(http" not in pictures.PICTURE.read_text(encoding="utf-8")


def test_a_guide_without_the_demo_is_named():
    with pytest.raises(SystemExit, match="expected a block"):
        pictures.shown("no demo")
