"""What is written for people is complete: every setting, every make target."""

from __future__ import annotations

import re

from app.settings import Settings
from tests.app.support.source_tree import ROOT


def test_every_setting_is_described():
    page = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"`{field.validation_alias or f'PITWALL_{name.upper()}'}`" in page, name
        assert field.description


def test_nothing_is_described_that_is_no_setting():
    page = (ROOT / "docs" / "settings.md").read_text()
    # besides, the worker's own
    known = {f"PITWALL_{name.upper()}" for name in Settings.model_fields} | {"PITWALL_SERVER", "PITWALL_WARM"}

    assert set(re.findall(r"PITWALL_[A-Z_]+[A-Z]", page)) <= known


def test_every_make_target_says_what_it_does():
    text = (ROOT / "Makefile").read_text()
    phony = set(" ".join(re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE)).split())
    targets = re.findall(r"^([a-z][\w-]*):(.*)$", text, re.MULTILINE)

    assert {"run", "test", "lint"} <= phony
    assert {name for name, _ in targets} == phony
    for name, rest in targets:
        assert re.search(r"## \S.{9,}", rest), name
