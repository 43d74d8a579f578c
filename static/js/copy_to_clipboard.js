// Buttons that copy the text beside them. They stay hidden where the browser forbids copying (HTTP from another machine).

const CONFIRMATION_MS = 2000;

export function enableCopyButtons() {
  const showButtons = () => document.querySelectorAll("[data-copy]").forEach((button) => (button.hidden = !navigator.clipboard));
  document.addEventListener("pitwall:fragment-updated", showButtons);
  document.addEventListener("click", async ({ target }) => {
    if (!target.matches?.("[data-copy]")) return;
    await navigator.clipboard.writeText(target.parentElement.querySelector("pre").textContent);
    target.textContent = "Copied";
    setTimeout(() => (target.textContent = "Copy"), CONFIRMATION_MS);
  });
  showButtons();
}
