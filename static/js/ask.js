// fetch, and the whole answer's text: {ok, status, headers, text}. "The app is just being restarted" is an answer,
// too: null, also where it dies in the middle of one. Whoever asked asks again after `pitwall:again`, which live.js
// says when the connection is back.

export async function ask(address, options) {
  try {
    const answer = await fetch(address, options);
    const { ok, status, headers } = answer;
    return ok || status === 404 ? { ok, status, headers, text: await answer.text() } : null;
  } catch {
    return null;
  }
}
