// The tail of a log. Fetches the bytes that it lacks when the log grows; searches and filters the lines on the page. A
// link beside it opens the whole log.

import { fetchText } from "./fetch_text.js";

const DEBOUNCE_MS = 400;
const MAX_CHARACTERS = 200_000;
const AT_END_PX = 40;
const LEVELS = {
  error: /\b(error|exception|traceback|fatal|failed|not a number)\b/i,
  warning: /\b(warn(ing)?|error|exception|traceback|fatal|failed|not a number)\b/i,
};

export function enableLogViewer(place) {
  const tools = document.querySelector("[data-log-tools]");
  const [find, level, follow] = ["find", "level", "follow"].map((name) => tools.querySelector(`[data-log-${name}]`));
  let text = place.textContent;
  let timer = null;

  tools.hidden = false;
  place.scrollTop = place.scrollHeight;
  find.addEventListener("input", show);
  level.addEventListener("change", show);
  follow.addEventListener("change", scrollToEnd);
  place.addEventListener("scroll", () => {
    follow.checked = place.scrollTop + place.clientHeight >= place.scrollHeight - AT_END_PX; // off while somebody reads further up
  });
  document.addEventListener("pitwall:log", ({ detail }) => {
    timer ??= setTimeout(async () => ((timer = null), await fetchMore(detail.attempt)), DEBOUNCE_MS);
  });
  document.addEventListener("pitwall:reconnected", () => Number(place.dataset.attempt) && fetchMore(Number(place.dataset.attempt)));

  async function fetchMore(attempt) {
    if (Number(place.dataset.attempt) !== attempt) {
      place.dataset.attempt = attempt; // a new attempt writes a new log
      place.dataset.next = 0;
      place.textContent = text = "";
    }
    const response = await fetchText(`${place.dataset.log}?attempt=${attempt}&after=${place.dataset.next}`);
    if (!response?.ok) return;
    place.dataset.next = response.headers.get("Pitwall-Log-Next");
    document.querySelector("[data-log-empty]").hidden = true;
    text += response.text;
    if (isFiltered() || text.length > MAX_CHARACTERS) {
      text = text.slice(-MAX_CHARACTERS);
      show();
    } else {
      place.append(response.text); // appending keeps a text selection
      scrollToEnd();
    }
  }

  function show() {
    const query = find.value.toLowerCase();
    const matches = (line) => line.toLowerCase().includes(query) && (!level.value || LEVELS[level.value].test(line));
    const filtered = () => text.split("\n").filter(matches).join("\n") || "No matching lines on this page.";
    place.textContent = isFiltered() ? filtered() : text;
    scrollToEnd();
  }

  function scrollToEnd() {
    if (follow.checked) place.scrollTop = place.scrollHeight;
  }

  function isFiltered() {
    return find.value !== "" || level.value !== "";
  }
}
