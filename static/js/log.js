// The tail of a log: asks for the bytes that it does not have when the app says that the log grew.

import { ask } from "./ask.js";

const TOGETHER_MS = 400;
const KEPT = 200_000; // characters on the page; the whole log is one click away

export function keepLog(place) {
  let due = null;
  document.addEventListener("pitwall:log", ({ detail }) => {
    due ??= setTimeout(async () => ((due = null), await more(place, detail.attempt)), TOGETHER_MS);
  });
  document.addEventListener("pitwall:again", () => Number(place.dataset.attempt) && more(place, Number(place.dataset.attempt)));
  place.scrollTop = place.scrollHeight;
}

async function more(place, attempt) {
  if (Number(place.dataset.attempt) !== attempt) {
    place.dataset.attempt = attempt; // a new attempt writes a new log
    place.dataset.next = 0;
    place.textContent = "";
  }
  const answer = await ask(`${place.dataset.log}?attempt=${attempt}&after=${place.dataset.next}`);
  if (!answer?.ok) return;
  const follows = place.scrollHeight - place.scrollTop - place.clientHeight < 40; // px: the reader is at the end
  place.append(answer.text); // what stands there already keeps the reader's selection
  while (place.textContent.length > KEPT && place.childNodes.length > 1) place.firstChild.remove();
  place.dataset.next = answer.headers.get("Pitwall-Log-Next");
  document.querySelector("[data-log-empty]").hidden = true;
  if (follows) place.scrollTop = place.scrollHeight;
}
