// Asks for confirmation before a form with `data-confirm`, on itself or on the button that was pressed, is submitted.

export function enableConfirmation() {
  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });
}
