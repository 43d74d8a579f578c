// One event stream per page, open while the page is visible. Its messages become DOM events on the document:
// `pitwall:epoch`, `pitwall:step`, `pitwall:status` … with the data as `detail`. After a lost connection,
// `pitwall:reconnected` tells the page to fetch what it missed.

export const EVENT_KINDS = ["status", "started", "epoch", "step", "log", "failed", "finished", "evidence", "deleted", "silent", "checkpoint", "not_saved", "artifact", "settle"];
const GRACE_MS = 2000; // shorter interruptions are not shown

let source = null;
let address = document.body.dataset.stream;
let lastId = null;
let messageTimer = null;
let wasInterrupted = false;

function open() {
  if (source || !address) return;
  source = new EventSource(resumeAddress());
  for (const kind of EVENT_KINDS) {
    source.addEventListener(kind, (message) => {
      if (message.lastEventId) lastId = message.lastEventId;
      document.dispatchEvent(new CustomEvent(`pitwall:${kind}`, { detail: JSON.parse(message.data) }));
    });
  }
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("open", () => {
    showState("");
    if (wasInterrupted) document.dispatchEvent(new CustomEvent("pitwall:reconnected"));
    wasInterrupted = false;
  });
  source.addEventListener("error", () => {
    wasInterrupted = true;
    showState("Reconnecting …");
    if (source?.readyState !== EventSource.CLOSED) return; // the browser reconnects by itself
    close(); // it gave up (the server answered with an error): reconnect here
    setTimeout(() => document.hidden || open(), GRACE_MS);
  });
}

function close() {
  if (source) wasInterrupted = true; // events without an id (log, deleted) are missed
  source?.close();
  source = null;
}

function resumeAddress() {
  if (lastId === null) return address;
  const url = new URL(address, location.href);
  url.searchParams.set("after", lastId);
  return url;
}

function showState(text) {
  clearTimeout(messageTimer);
  const place = document.querySelector("[data-link-state]");
  messageTimer = setTimeout(() => (place.textContent = text), text ? GRACE_MS : 0);
}

// `isNeeded()`: keep the stream open while the page is hidden, for notifications.
export function openEventStream(isNeeded = () => false) {
  document.documentElement.classList.add("js");
  open();
  document.addEventListener("visibilitychange", () => (document.hidden && !isNeeded() ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
}
