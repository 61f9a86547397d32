// Asks a person for the key, where the router wants one. It stays in this tab (sessionStorage).

import { key, json, onKeyWanted, reason } from "./api.js";
import { say } from "./dom.js";
import { learnWho, listenAnew, lookAnew } from "./live.js";

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("key-dialog"));
const form = /** @type {HTMLFormElement} */ (document.getElementById("key-form"));
const input = /** @type {HTMLInputElement} */ (document.getElementById("key-input"));
const error = /** @type {HTMLElement} */ (document.getElementById("key-error"));
const title = /** @type {HTMLElement} */ (document.getElementById("key-title"));

let refused = false;

/**
 * Ask.
 * @param {string} [why] The title; empty for the usual one.
 */
export function askForKey(why = "") {
  if (dialog.open) return;
  say(title, why || "This port wants a key");
  say(error, "");
  input.value = "";
  dialog.showModal();
}

/** Take it, and try it at once. */
async function take() {
  const before = key.get();
  key.set(input.value.trim());
  try {
    await json("api/key");
  } catch (problem) {
    if (before) key.set(before);
    else key.forget();
    say(error, reason(problem));
    input.select();
    return;
  }
  input.value = "";
  dialog.close();
  refused = false;
  await learnWho();
  listenAnew();
  lookAnew();
}

/** Join dialog and requests. */
export function setUpKey() {
  // Asked once: whoever says "not now" has a button.
  onKeyWanted(() => {
    if (!refused) askForKey();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void take();
  });
  const leave = () => {
    refused = true;
    dialog.close();
  };
  document.getElementById("key-cancel")?.addEventListener("click", leave);
  dialog.addEventListener("cancel", () => {
    refused = true;
  });
}
