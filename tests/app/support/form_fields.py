"""The form of a recipe as a browser without JavaScript sends it."""

from __future__ import annotations

from html.parser import HTMLParser

from fastapi.testclient import TestClient


class Fields(HTMLParser):
    """What a browser would send for the form of the recipe."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._inside = False
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        self._option: list[str] | None = None
        self._is_selected = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = "data-recipe" in given
        if not self._inside:
            return
        if tag == "input" and given.get("name"):
            is_check = given.get("type") == "checkbox"
            if not is_check or "checked" in given:
                self.sent[str(given["name"])] = "on" if is_check else given.get("value") or ""
        elif tag == "select":
            self._select, self._options = given["name"], []
        elif tag == "textarea" and given.get("name"):
            self.sent[str(given["name"])] = ""
        elif tag == "option":
            self._option, self._is_selected = [], "selected" in given

    def handle_data(self, data: str) -> None:
        if self._option is not None:
            self._option.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "option" and self._option is not None:
            self._options.append(("".join(self._option).strip(), self._is_selected))
            self._option = None
        elif tag == "select" and self._select:
            chosen = [value for value, is_selected in self._options if is_selected]
            self.sent[self._select] = (chosen or [self._options[0][0]])[0]
            self._select = None


def form(client: TestClient, **changes: str) -> dict[str, str]:
    """The fields of the form as it is shown, some of them filled in otherwise."""
    fields = Fields(client.get("/runs/new").text).sent
    return fields | {key.replace("__", "."): value for key, value in changes.items()}


class Buttons(HTMLParser):
    """(address, value) of every button of the recipe's form that says what to do, wherever on the page it stands."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.disabled: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = "data-recipe" in given
        if tag == "button" and given.get("name") == "do" and (self._inside or given.get("form") == "recipe"):
            if "disabled" in given:
                self.disabled.append(str(given["value"]))
            else:
                self.found.append((str(given["formaction"]), str(given["value"])))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def pressed(client: TestClient, page: str, value: str) -> str:
    """The page that comes after the button with this value, as without JavaScript; the button must be there."""
    addresses = [address for address, found in Buttons(page).found if found == value]
    assert addresses, f"there is no button {value}"
    answer = client.post(addresses[0], data=Fields(page).sent | {"do": value})
    assert answer.status_code == 200, answer.text
    return answer.text
