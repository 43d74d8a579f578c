// Single-key shortcuts for frequent actions. Inactive while somebody types, and switched off by the checkbox in the list
// of shortcuts (speech input can trigger single keys, WCAG 2.1.4). Each is available as a button or link, too.

const OFF_KEY = "pitwall.keys-off"; // in localStorage
const PAGES = { h: "/", r: "/runs", b: "/board" };
const CHORD_MS = 1500;
const TEXT_FIELDS = "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]";

const list = document.querySelector("#key-list");
const box = list.querySelector("[data-single-keys]");
let chordEnds = 0; // after `g`, the next key chooses the page

const ACTIONS = {
  "?": () => list.showModal(),
  n: () => (location.href = "/runs/new"),
  "/": search,
  j: () => moveFocus(1),
  k: () => moveFocus(-1),
  x: toggleSelection,
  c: compare,
  g: () => (chordEnds = performance.now() + CHORD_MS),
};

box.checked = !localStorage.getItem(OFF_KEY);
box.addEventListener("change", () => (box.checked ? localStorage.removeItem(OFF_KEY) : localStorage.setItem(OFF_KEY, "1")));
const opener = document.querySelector("[data-keys-opener]");
opener.hidden = false;
opener.addEventListener("click", () => list.showModal());
list.addEventListener("click", ({ target }) => target === list && list.close()); // a click on the backdrop
if (location.hash === "#search") search();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (!box.checked || list.open || event.target.closest(TEXT_FIELDS)) return;
  const page = performance.now() < chordEnds && PAGES[event.key];
  if (page) {
    event.preventDefault();
    location.href = page;
  } else if (Object.hasOwn(ACTIONS, event.key)) {
    event.preventDefault();
    ACTIONS[event.key]();
  }
});

function search() {
  const field = document.querySelector("input[type=search]");
  if (!field) return (location.href = "/runs#search");
  field.focus();
  field.select();
}

// Focuses the link of a row: Enter opens it natively, and screen readers announce it.
function moveFocus(step) {
  const links = [...document.querySelectorAll("main tbody th[scope=row]")].flatMap((head) => head.querySelector("a") ?? []);
  const at = links.findIndex((link) => link.closest("tr") === document.activeElement.closest("tr"));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next]?.focus();
}

function toggleSelection() {
  document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click();
}

function compare() {
  document.querySelector("[formaction='/compare']:not(:disabled), main .actions a[href^='/compare']")?.click();
}
