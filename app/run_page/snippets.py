"""A run's launch in other words: for a shell, for Python, as JSON. Pure text; must not know the records or HTTP."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

PYTHON = """\
import json, {imports}urllib.request

asked = json.loads({body!r})
request = urllib.request.Request(
    {url!r}, json.dumps(asked).encode(), {{"Content-Type": "application/json"{header}}}
)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer)["runs"][0]["id"])
"""


def launch_snippets(recipe: Mapping[str, Any], name: str, site: str, *, has_login: bool) -> list[tuple[str, str]]:
    """(title, text): each launches this very recipe, whatever becomes of the preset it came from.

    `site`: `http://host:port`. With a login the token comes from the environment, so that no copy holds it.
    """
    asked = {"name": name, "recipe": recipe}
    body, url = json.dumps(asked, ensure_ascii=False), f"{site}/api/v1/runs"
    token = ' \\\n  -H "Authorization: Bearer $PITWALL_TOKEN"' if has_login else ""
    curl = f"curl {shlex.quote(url)}{token} \\\n  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}\n"
    header = ', "Authorization": f"Bearer {os.environ[\'PITWALL_TOKEN\']}"' if has_login else ""
    python = PYTHON.format(imports="os, " if has_login else "", body=body, url=url, header=header)
    return [("curl", curl), ("Python", python), ("JSON", json.dumps(asked, ensure_ascii=False, indent=2) + "\n")]
