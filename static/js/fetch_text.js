// Fetches an address and reads the whole body: {ok, status, headers, text}. Returns null while the app restarts, also
// when it stops in the middle of a response. Callers fetch again on `pitwall:reconnected`, which event_stream.js dispatches
// when the connection is back.

export async function fetchText(address, options) {
  try {
    const response = await fetch(address, options);
    const { ok, status, headers } = response;
    return ok || status === 404 ? { ok, status, headers, text: await response.text() } : null;
  } catch {
    return null;
  }
}
