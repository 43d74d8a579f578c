"""Snippets that launch a run's recipe again: curl, Python, JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

PYTHON = """\
import json, {imports}urllib.request

body = json.loads({body!r})
request = urllib.request.Request(
    {url!r}, json.dumps(body).encode(), {{"Content-Type": "application/json"{header}}}
)
with urllib.request.urlopen(request) as response:
    print(json.load(response)["runs"][0]["id"])
"""


def launch_snippets(recipe: Mapping[str, Any], name: str, site: str, *, has_login: bool) -> list[tuple[str, str]]:
    """(title, text) of each snippet. They hold the complete recipe, so later changes of its preset do not matter.

    `site`: `http://host:port`. With a login, snippets read the token from the environment instead of containing it.
    """
    launch = {"name": name, "recipe": recipe}
    body, url = json.dumps(launch, ensure_ascii=False), f"{site}/api/v1/runs"
    token = ' \\\n  -H "Authorization: Bearer $PITWALL_TOKEN"' if has_login else ""
    curl = f"curl {shlex.quote(url)}{token} \\\n  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}\n"
    header = ', "Authorization": f"Bearer {os.environ[\'PITWALL_TOKEN\']}"' if has_login else ""
    python = PYTHON.format(imports="os, " if has_login else "", body=body, url=url, header=header)
    return [("curl", curl), ("Python", python), ("JSON", json.dumps(launch, ensure_ascii=False, indent=2) + "\n")]
