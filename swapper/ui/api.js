// The router's API, with the key that this tab has.

/** What the router answered instead of what was asked for. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, message?: string, hint?: string, journal?: string[]}} error
   */
  constructor(status, error) {
    super(error.message || `The router answered ${status}.`);
    this.status = status;
    this.code = error.code ?? "";
    this.hint = error.hint ?? "";
    this.journal = error.journal ?? [];
  }
}

const PLACE = "swapper.key";

/** @type {() => void} */
let wanted = () => undefined;

/**
 * Have somebody told when a key is needed.
 * @param {() => void} tell
 */
export function onKeyWanted(tell) {
  wanted = tell;
}

export const key = {
  get: () => sessionStorage.getItem(PLACE),
  /** @param {string} value */
  set: (value) => sessionStorage.setItem(PLACE, value),
  forget: () => sessionStorage.removeItem(PLACE),
};

/**
 * One request; throws `Refused`, or TypeError where the router is not there.
 * @param {string} path Without a slash in front: the page may be below a prefix.
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export async function ask(path, init = {}) {
  const headers = new Headers(init.headers);
  const shown = key.get();
  if (shown) headers.set("Authorization", `Bearer ${shown}`);
  // No credentials: a browser that gets a 401 would ask by itself, and remember the key for longer than this tab.
  const response = await fetch(path, { ...init, headers, credentials: "omit", cache: "no-store" });
  if (response.ok) return response;
  const body = await response.text();
  let error = {};
  try {
    error = JSON.parse(body).error ?? {};
    if (typeof error === "string") error = { message: error };
  } catch {
    error = { message: body.slice(0, 500) };
  }
  if (response.status === 401) wanted();
  throw new Refused(response.status, error);
}

/**
 * What a path has, as JSON.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function json(path, init = {}) {
  return (await ask(path, init)).json();
}

/**
 * The path of a model.
 * @param {string} name
 * @param {string} [what] Of it.
 */
export function modelPath(name, what = "") {
  return `api/models/${encodeURIComponent(name)}${what}`;
}

/**
 * Do something with a model; the answer may take as long as the model takes.
 * @param {string} name
 * @param {"load" | "unload" | "park"} what
 * @returns {Promise<any>}
 */
export function operate(name, what) {
  return json(modelPath(name, `/${what}`), { method: "POST" });
}

/** @param {string} id */
export function cancel(id) {
  return json(`api/requests/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/**
 * What went wrong, in a sentence, with what to do.
 * @param {unknown} error
 */
export function reason(error) {
  if (error instanceof Refused) return error.hint ? `${error.message} ${error.hint}` : error.message;
  if (error instanceof TypeError) return "The router is not there.";
  return String(error);
}
