// What the server is asked, and what it says is wrong.

const KEY = "factory-key";
let key = null;
try {
  key = sessionStorage.getItem(KEY);
} catch {
  // A browser that keeps nothing asks for the key again.
}

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
  }
}

/** Sends this key from now on, as long as this tab is open. */
export function unlock(text) {
  key = text;
  try {
    sessionStorage.setItem(KEY, text);
  } catch {
    // It holds as long as the page is open.
  }
}

/** An integer that no number holds exactly, as it was written, where the browser tells. */
const exact = (_, value, context) =>
  typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;

/** `body` is a file or a text as it is, or an object as JSON. */
export async function call(method, path, body, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const raw = body === undefined || body instanceof Blob;
  if (!raw) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: raw ? body : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer.");
  }
  const told = await response.text().then((text) => JSON.parse(text, exact)).catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, told.error ?? { message: `The server answers ${response.status}.` });
  return told;
}
