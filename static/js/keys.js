// Single keys for what is done most. Off while somebody types, and for good where the box in their list is not ticked
// (a voice that is heard as keys must not press them). Every one of them is a button or a link, too.

const OFF = "pitwall.keys-off"; // localStorage
const PLACES = { h: "/", r: "/runs", b: "/board" };
const CHORD_MS = 1500;
const TYPED = "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]";

const list = document.querySelector("#key-list");
const box = list.querySelector("[data-single-keys]");
let goesUntil = 0; // `g` was pressed: the next key says where to

const ACTIONS = {
  "?": () => list.showModal(),
  n: () => (location.href = "/runs/new"),
  "/": search,
  j: () => move(1),
  k: () => move(-1),
  x: choose,
  c: compare,
  g: () => (goesUntil = performance.now() + CHORD_MS),
};

box.checked = !localStorage.getItem(OFF);
box.addEventListener("change", () => (box.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
const opener = document.querySelector("[data-keys-opener]");
opener.hidden = false;
opener.addEventListener("click", () => list.showModal());
list.addEventListener("click", ({ target }) => target === list && list.close()); // beside it
if (location.hash === "#search") search();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (!box.checked || list.open || event.target.closest(TYPED)) return;
  const place = performance.now() < goesUntil && PLACES[event.key];
  if (place) {
    event.preventDefault();
    location.href = place;
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

// A row is where its link has the focus: Enter opens it without us, and whoever does not see is told where they are.
function move(by) {
  const links = [...document.querySelectorAll("main tbody th[scope=row] a")];
  const at = links.findIndex((link) => link.closest("tr") === document.activeElement.closest("tr"));
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
  links[next]?.focus();
}

function choose() {
  document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click();
}

function compare() {
  document.querySelector("[formaction='/compare']:not(:disabled), main .actions a[href^='/compare']")?.click();
}
