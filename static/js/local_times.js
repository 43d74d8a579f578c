// Shows <time datetime> in the browser's time zone and language (the server writes UTC), and formats durations.

const today = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const thisYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const other = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localizeTimes(root = document) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    const isToday = when.toDateString() === now.toDateString();
    const nearest = isToday ? today : when.getFullYear() === now.getFullYear() ? thisYear : other;
    element.textContent = nearest.format(when);
    element.title = when.toLocaleString();
  }
}

// Same as `duration` in app/web/templates.py.
export function formatDuration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 59.95) return `${seconds.toFixed(1)}\u202fs`;
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}\u202fmin ${two(whole % 60)}\u202fs`;
  return `${Math.floor(whole / 3600)}\u202fh ${two(Math.floor((whole % 3600) / 60))}\u202fmin`;
}
