// The frame around the pages: which one is shown, who asks, whether the router is there, light or dark.

import { key } from "./api.js";
import { attr, h, say, speak } from "./dom.js";
import { askForKey, setUpKey } from "./key.js";
import { news, now, run } from "./live.js";
import { overview } from "./overview.js";

/**
 * @typedef {object} View A page.
 * @property {string} title
 * @property {() => void} update Follow what is known now.
 * @property {() => void} [close] Let go of what it holds.
 */

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const connection = /** @type {HTMLElement} */ (document.getElementById("connection"));
const who = /** @type {HTMLElement} */ (document.getElementById("who"));
const empty = /** @type {HTMLElement} */ (document.getElementById("empty"));
const theme = /** @type {HTMLElement} */ (document.getElementById("theme"));

/** @type {View | null} */
let view = null;
let shownHash = "";
let turn = 0;

/**
 * The page that an address names. All but the first are fetched when somebody goes there.
 * @param {string} hash
 * @returns {Promise<[string, (place: HTMLElement) => View]>}
 */
async function choose(hash) {
  const [page, ...rest] = hash.replace(/^#\/?/, "").split("/");
  if (page === "models" && rest.length) {
    const name = decodeURIComponent(rest.join("/"));
    const { modelPage } = await import("./model.js");
    return ["model", (place) => modelPage(place, name)];
  }
  if (page === "playground") return ["playground", (await import("./playground.js")).playground];
  if (page === "keys") return ["keys", (await import("./keys.js")).keysPage];
  return ["overview", overview];
}

async function show() {
  const hash = location.hash === "#main" ? shownHash : location.hash;
  if (view && hash === shownHash) return;
  const own = ++turn;
  const first = view === null;
  /** @type {[string, (place: HTMLElement) => View]} */
  let chosen;
  try {
    chosen = await choose(hash);
  } catch {
    main.replaceChildren(h("p", { class: "notice" }, "This page could not be fetched: the router is not there. It is asked again when it is back."));
    view = null;
    return;
  }
  if (own !== turn) return;
  view?.close?.();
  main.replaceChildren();
  shownHash = hash;
  view = chosen[1](main);
  for (const link of document.querySelectorAll("nav a")) {
    attr(link, "aria-current", link.getAttribute("data-page") === chosen[0] ? "page" : null);
  }
  document.title = `${view.title} · Swapper`;
  view.update();
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

const WORDS = { connecting: "Connecting…", open: "Live", lost: "Router not there, trying again…", locked: "Locked" };

function follow() {
  attr(connection, "data-is", now.connection);
  attr(main, "data-stale", now.connection === "lost");
  say(connection, WORDS[now.connection]);
  who.hidden = now.connection !== "locked" && !now.who?.keys;
  say(who, now.who?.keys && now.connection !== "locked" ? `${now.who.name} (${now.who.admin ? "admin" : "looks only"})` : "Enter a key");
  empty.hidden = now.overview !== null;
  say(empty, { connecting: "Asking the router…", open: "Asking the router…", lost: "The router is not there. It is asked again and again.",
    locked: "This port wants a key: the button above takes it." }[now.connection]);
  if (view) view.update();
  else if (now.connection === "open") void show();
}

let pending = 0;
news.addEventListener("change", () => {
  // Many changes make one picture.
  if (!pending) pending = setTimeout(() => { pending = 0; follow(); }, 30);
});
news.addEventListener("state", (event) => {
  const change = /** @type {CustomEvent<import("./types.js").Changed>} */ (event).detail;
  if (["ready", "failed", "parked"].includes(change.new)) speak(`${change.model} is ${change.new}.`);
});

const THEMES = /** @type {const} */ (["auto", "light", "dark"]);

/** @param {string} name */
function dress(name) {
  attr(document.documentElement, "data-theme", name === "auto" ? null : name);
  say(theme, `Theme: ${name}`);
}

theme.addEventListener("click", () => {
  const before = localStorage.getItem("swapper.theme") ?? "auto";
  const next = THEMES[(THEMES.indexOf(/** @type {any} */ (before)) + 1) % THEMES.length];
  localStorage.setItem("swapper.theme", next);
  dress(next);
});
dress(localStorage.getItem("swapper.theme") ?? "auto");

document.querySelector("a.skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
who.addEventListener("click", () => askForKey(key.get() ? "Another key" : ""));
addEventListener("hashchange", () => void show());
setUpKey();
void show();
void run();
