// The tail of a log: asks for the bytes that it does not have when the app says that the log grew. What stands on the
// page is searched and sifted here; the whole log is one click away.

import { ask } from "./ask.js";

const TOGETHER_MS = 400;
const KEPT = 200_000; // characters
const AT_END_PX = 40;
const LEVELS = {
  error: /\b(error|exception|traceback|fatal|failed|not a number)\b/i,
  warning: /\b(warn(ing)?|error|exception|traceback|fatal|failed|not a number)\b/i,
};

export function keepLog(place) {
  const tools = document.querySelector("[data-log-tools]");
  const [find, level, follow] = ["find", "level", "follow"].map((name) => tools.querySelector(`[data-log-${name}]`));
  let whole = place.textContent;
  let due = null;

  tools.hidden = false;
  place.scrollTop = place.scrollHeight;
  find.addEventListener("input", draw);
  level.addEventListener("change", draw);
  follow.addEventListener("change", end);
  place.addEventListener("scroll", () => {
    follow.checked = place.scrollTop + place.clientHeight >= place.scrollHeight - AT_END_PX; // else somebody reads
  });
  document.addEventListener("pitwall:log", ({ detail }) => {
    due ??= setTimeout(async () => ((due = null), await more(detail.attempt)), TOGETHER_MS);
  });
  document.addEventListener("pitwall:again", () => Number(place.dataset.attempt) && more(Number(place.dataset.attempt)));

  async function more(attempt) {
    if (Number(place.dataset.attempt) !== attempt) {
      place.dataset.attempt = attempt; // a new attempt writes a new log
      place.dataset.next = 0;
      place.textContent = whole = "";
    }
    const answer = await ask(`${place.dataset.log}?attempt=${attempt}&after=${place.dataset.next}`);
    if (!answer?.ok) return;
    place.dataset.next = answer.headers.get("Pitwall-Log-Next");
    document.querySelector("[data-log-empty]").hidden = true;
    whole += answer.text;
    if (isSifted() || whole.length > KEPT) {
      whole = whole.slice(-KEPT);
      draw();
    } else {
      place.append(answer.text); // what stands there already keeps the reader's selection
      end();
    }
  }

  function draw() {
    const wanted = find.value.toLowerCase();
    const fits = (line) => line.toLowerCase().includes(wanted) && (!level.value || LEVELS[level.value].test(line));
    const sifted = () => whole.split("\n").filter(fits).join("\n") || "No line of those on this page fits.";
    place.textContent = isSifted() ? sifted() : whole;
    end();
  }

  function end() {
    if (follow.checked) place.scrollTop = place.scrollHeight;
  }

  function isSifted() {
    return find.value !== "" || level.value !== "";
  }
}
