// Browser notifications when a watched run ends, and the progress of a run in the title of its page. The list of watched
// runs is kept in this browser (localStorage). Every open page notifies; the tag merges these into one notification.

const STORAGE_KEY = "pitwall.watched";
const MARKS = { succeeded: "✓", failed: "✕", cancelled: "–" };

const watchedRuns = () => JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
const saveWatched = (runs) => localStorage.setItem(STORAGE_KEY, JSON.stringify(runs));
export const isAnyRunWatched = () => watchedRuns().length > 0;

export function enableNotifications() {
  const title = document.title;
  const here = document.body.dataset.runPage;
  document.addEventListener("pitwall:step", ({ detail: step }) => {
    if (String(step.run) === here) document.title = `${Math.floor(step.progress * 100)} % · ${title}`;
  });
  document.addEventListener("pitwall:status", ({ detail: run }) => {
    if (String(run.id) === here) document.title = run.ended ? `${run.concern ? "!" : MARKS[run.status]} ${title}` : title;
    if (run.ended && watchedRuns().includes(run.id)) notify(run);
  });
  document.addEventListener("pitwall:deleted", ({ detail }) => saveWatched(watchedRuns().filter((one) => one !== detail.id)));
  document.addEventListener("click", ({ target }) => target.dataset.watch && toggleWatch(Number(target.dataset.watch)));
  document.addEventListener("pitwall:fragment-updated", updateButtons);
  addEventListener("storage", updateButtons); // changed in another tab
  updateButtons();
}

function notify(run) {
  saveWatched(watchedRuns().filter((one) => one !== run.id));
  updateButtons();
  const best = run.best_val_accuracy === null ? "" : `, best accuracy ${(run.best_val_accuracy * 100).toFixed(2)} % in epoch ${run.best_epoch}`;
  const status = run.status === "succeeded" ? "finished" : run.status;
  const concern = run.concern ? `: ${run.concern.replaceAll("_", " ")}` : ""; // at chance, loss ran away, best early
  const notice = new Notification(`${run.name} ${status}${concern}`, {
    body: `${run.last_epoch} of ${run.epochs} epochs${best}${run.reason ? `. ${run.reason}` : ""}`,
    tag: `pitwall-run-${run.id}`,
  });
  notice.addEventListener("click", () => (window.focus(), (location.href = `/runs/${run.id}`)));
}

async function toggleWatch(run) {
  const runs = watchedRuns();
  if (runs.includes(run)) saveWatched(runs.filter((one) => one !== run));
  else if ((await Notification.requestPermission()) === "granted") saveWatched([...runs, run]);
  else document.querySelector("[data-announcement]").textContent = "The browser blocks notifications from this site.";
  updateButtons();
}

// The button stays hidden if the browser has no notifications (HTTP from another machine).
function updateButtons() {
  for (const button of document.querySelectorAll("[data-watch]")) {
    const isWatched = watchedRuns().includes(Number(button.dataset.watch));
    button.hidden = !("Notification" in window);
    button.disabled = !button.hidden && Notification.permission === "denied";
    button.title = button.disabled ? "The browser blocks notifications from this site" : "";
    button.setAttribute("aria-pressed", isWatched);
    button.textContent = isWatched ? "You will be notified" : "Notify me when it ends";
  }
}
