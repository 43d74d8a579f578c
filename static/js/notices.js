// A notice by the browser when a watched run ends, and how far a run is in the title of its page. Which runs are watched
// is this browser's own affair (localStorage); every open page of Pitwall tells, and a run's tag makes one notice of it.

const WATCHED = "pitwall.watched";
const MARKS = { succeeded: "✓", failed: "✕", cancelled: "–" };

const watched = () => JSON.parse(localStorage.getItem(WATCHED) ?? "[]");
const watch = (runs) => localStorage.setItem(WATCHED, JSON.stringify(runs));
export const isAnyWatched = () => watched().length > 0;

export function keepNotices() {
  const title = document.title;
  const here = document.body.dataset.runPage;
  document.addEventListener("pitwall:step", ({ detail: step }) => {
    if (String(step.run) === here) document.title = `${Math.floor(step.progress * 100)} % · ${title}`;
  });
  document.addEventListener("pitwall:status", ({ detail: run }) => {
    if (String(run.id) === here) document.title = run.ended ? `${MARKS[run.status]} ${title}` : title;
    if (run.ended && watched().includes(run.id)) tell(run);
  });
  document.addEventListener("pitwall:deleted", ({ detail }) => watch(watched().filter((one) => one !== detail.id)));
  document.addEventListener("click", ({ target }) => target.dataset.watch && change(Number(target.dataset.watch)));
  document.addEventListener("pitwall:drawn", draw);
  addEventListener("storage", draw); // another page of ours
  draw();
}

function tell(run) {
  watch(watched().filter((one) => one !== run.id));
  draw();
  const best = run.best_val_accuracy === null ? "" : `, best accuracy ${(run.best_val_accuracy * 100).toFixed(2)} %`;
  const notice = new Notification(`${run.name} ${run.status}`, {
    body: `${run.last_epoch} of ${run.epochs} epochs${best}${run.reason ? `. ${run.reason}` : ""}`,
    tag: `pitwall-run-${run.id}`,
  });
  notice.addEventListener("click", () => (window.focus(), (location.href = `/runs/${run.id}`)));
}

async function change(run) {
  const runs = watched();
  if (runs.includes(run)) watch(runs.filter((one) => one !== run));
  else if ((await Notification.requestPermission()) === "granted") watch([...runs, run]);
  else document.querySelector("[data-say]").textContent = "The browser does not allow this site any notices.";
  draw();
}

// Where a browser has no notices (a page that did not come over https or from this machine) the button stays hidden.
function draw() {
  for (const button of document.querySelectorAll("[data-watch]")) {
    const isWatched = watched().includes(Number(button.dataset.watch));
    button.hidden = !("Notification" in window);
    button.disabled = !button.hidden && Notification.permission === "denied";
    button.title = button.disabled ? "The browser does not allow this site any notices" : "";
    button.setAttribute("aria-pressed", isWatched);
    button.textContent = isWatched ? "You will be told" : "Tell me when it ends";
  }
}
