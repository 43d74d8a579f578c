// fetch that takes "the app is just being restarted" for an answer: null. Whoever asked asks again after
// `pitwall:again`, which live.js says when the connection is back.

export async function ask(address, options) {
  try {
    const answer = await fetch(address, options);
    return answer.ok || answer.status === 404 ? answer : null;
  } catch {
    return null;
  }
}
