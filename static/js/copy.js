// Buttons that copy the text beside them. They stay hidden where a page may not copy (plain http, another machine).

const SAID_MS = 2000;

export function keepCopies() {
  const draw = () => document.querySelectorAll("[data-copy]").forEach((button) => (button.hidden = !navigator.clipboard));
  document.addEventListener("pitwall:drawn", draw);
  document.addEventListener("click", async ({ target }) => {
    if (!target.matches?.("[data-copy]")) return;
    await navigator.clipboard.writeText(target.parentElement.querySelector("pre").textContent);
    target.textContent = "Copied";
    setTimeout(() => (target.textContent = "Copy"), SAID_MS);
  });
  draw();
}
