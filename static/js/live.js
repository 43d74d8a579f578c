// One event stream per page, opened while the page is seen. What arrives becomes DOM events on the document:
// `pitwall:epoch`, `pitwall:step`, `pitwall:status` … with the data as `detail`. Knows no page.

export const KINDS = ["status", "started", "epoch", "step", "log", "failed", "finished", "evidence", "deleted", "silent", "checkpoint", "not_saved", "artifact"];
const PATIENCE_MS = 2000; // a short cut is not worth a word

let source = null;
let address = document.body.dataset.stream;
let lastId = null;
let complaint = null;
let wasCut = false;

function open() {
  if (source || !address) return;
  source = new EventSource(resumed());
  for (const kind of KINDS) {
    source.addEventListener(kind, (message) => {
      if (message.lastEventId) lastId = message.lastEventId;
      document.dispatchEvent(new CustomEvent(`pitwall:${kind}`, { detail: JSON.parse(message.data) }));
    });
  }
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("open", () => {
    say("");
    if (wasCut) document.dispatchEvent(new CustomEvent("pitwall:again"));
    wasCut = false;
  });
  source.addEventListener("error", () => {
    wasCut = true;
    say("Reconnecting …");
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    close(); // it gave up (the server answered an error): we do not
    setTimeout(() => document.hidden || open(), PATIENCE_MS);
  });
}

function close() {
  if (source) wasCut = true; // what has no id (log, deleted) was missed meanwhile
  source?.close();
  source = null;
}

function resumed() {
  if (lastId === null) return address;
  const url = new URL(address, location.href);
  url.searchParams.set("after", lastId);
  return url;
}

function say(text) {
  clearTimeout(complaint);
  const place = document.querySelector("[data-link-state]");
  complaint = setTimeout(() => (place.textContent = text), text ? PATIENCE_MS : 0);
}

// `isAwaited()`: somebody wants to be told of something even while the page is not seen.
export function follow(isAwaited = () => false) {
  document.documentElement.classList.add("js");
  open();
  document.addEventListener("visibilitychange", () => (document.hidden && !isAwaited() ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
}
