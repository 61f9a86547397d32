// What is known of the router, kept up to date: its stream of events says when to look again, and looking says what.
// A stream that ends is opened anew, sooner at first, and everything is asked for again then.

import { json, key, ask, Refused } from "./api.js";
import { events } from "./sse.js";

/**
 * @typedef {import("./types.js").Overview} Overview
 * @typedef {import("./types.js").Requests} Requests
 * @typedef {import("./types.js").Timeline} Timeline
 * @typedef {import("./types.js").Changed} Changed
 */

/** Milliseconds: between looks at requests, or at all while there is much to see; else; at the last hour; and after a
 * change of state. */
const OFTEN = 2000;
const SELDOM = 6000;
const SLOW = 20_000;
const SOON = 120;
/** Milliseconds for each model that there is: looking at hundreds takes the router's time, which is its clients'. */
const EACH = 40;

/**
 * @typedef {"connecting" | "open" | "lost" | "locked"} Connection
 * @typedef {object} Known
 * @property {Overview | null} overview
 * @property {Requests | null} requests
 * @property {Timeline | null} timeline
 * @property {{keys: boolean, name: string, admin: boolean} | null} who
 * @property {Connection} connection
 */

/** @type {Known} */
export const now = { overview: null, requests: null, timeline: null, who: null, connection: "connecting" };

/** Tells `change` when something in `now` did, and `state` (detail: `Changed`) when a model's state did. */
export const news = new EventTarget();

/** @type {Record<"overview" | "requests" | "timeline", number>} */
const looked = { overview: 0, requests: 0, timeline: 0 };
/** @type {Set<string>} */
const asking = new Set();
let soon = 0;
/** Seconds by which the router's clock is ahead of this one's. */
let ahead = 0;
/** Until when the last hour is known, in the router's seconds. */
let seen = 0;

/**
 * Look anew.
 * @param {"overview" | "requests" | "timeline"} what
 */
async function look(what) {
  if (asking.has(what)) return;
  asking.add(what);
  looked[what] = Date.now();
  try {
    const found = await json(what === "overview" ? "api/models" : `api/${what}`);
    Object.assign(now, { [what]: found });
    if (what === "timeline") {
      ahead = found.until - Date.now() / 1000;
      seen = found.until;
    }
    news.dispatchEvent(new Event("change"));
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError)) throw error;
  } finally {
    asking.delete(what);
  }
}

/** Look at what may have changed just now. */
export function lookAnew() {
  void look("overview");
  void look("requests");
}

function lookSoon() {
  if (soon) return;
  const next = looked.overview + SOON + (now.overview?.models.length ?? 0) * EACH / 10;
  soon = setTimeout(() => {
    soon = 0;
    lookAnew();
  }, Math.max(SOON, next - Date.now()));
}

/** Once in a while, as long as somebody can see it. */
function tick() {
  if (now.connection !== "open" || document.hidden) return;
  const busy = now.overview?.models.some((model) => model.leases || model.waiting);
  const since = Date.now();
  if (since - looked.requests >= OFTEN) void look("requests");
  const many = (now.overview?.models.length ?? 0) * EACH;
  if (since - looked.overview >= Math.max(busy ? OFTEN : SELDOM, many)) void look("overview");
  const long = (now.timeline?.changes.length ?? 0) * EACH / 4;
  const served = busy || (now.requests?.ended[0]?.at ?? 0) > seen;
  if (since - looked.timeline >= Math.max(served ? 2 * OFTEN : SLOW, long)) void look("timeline");
  // Meanwhile the picture goes on.
  else if (now.timeline && since / 1000 + ahead - now.timeline.until >= 2) {
    now.timeline.until = since / 1000 + ahead;
    news.dispatchEvent(new Event("change"));
  }
}

/** @param {Connection} connection */
function become(connection) {
  if (now.connection === connection) return;
  now.connection = connection;
  news.dispatchEvent(new Event("change"));
}

/**
 * @param {string} kind
 * @param {string} data
 */
function heard(kind, data) {
  if (kind === "comment") return;
  const said = JSON.parse(data);
  const model = now.overview?.models.find((each) => each.id === said.model);
  if (kind === "state") {
    if (model) Object.assign(model, { state: said.new, reason: said.reason, since: said.at, progress: null });
    if (now.timeline) {
      now.timeline.changes.push(said);
      now.timeline.until = Math.max(now.timeline.until, said.at);
    }
    news.dispatchEvent(new CustomEvent("state", { detail: said }));
    lookSoon();
  } else if (kind === "progress" && model) model.progress = said.percent;
  news.dispatchEvent(new Event("change"));
}

/** Who this is. */
export async function learnWho() {
  now.who = await json("api/key");
  news.dispatchEvent(new Event("change"));
}

/** @type {AbortController | null} */
let stream = null;
let patience = 0;
let waiting = () => {};

/** Listen anew, as with another key. */
export function listenAnew() {
  patience = 0;
  stream?.abort();
  waiting();
}

async function listen() {
  stream = new AbortController();
  await learnWho();
  const response = await ask("api/events", { signal: stream.signal });
  if (!response.body) return;
  patience = 0;
  become("open");
  lookAnew();
  void look("timeline");
  for await (const { event, data } of events(response.body)) heard(event, data);
}

/** Once somebody sees the page. */
async function watched() {
  if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

/** Keep listening, for good, while somebody sees the page. */
export async function run() {
  setInterval(tick, 1000);
  // A browser has six connections to a host, for all of its tabs: one that nobody sees leaves them to the others.
  document.addEventListener("visibilitychange", () => document.hidden && stream?.abort());
  for (;;) {
    await watched();
    try {
      await listen();
      become("lost");
    } catch (error) {
      if (document.hidden) continue;
      const locked = error instanceof Refused && (error.status === 401 || error.status === 403);
      if (error instanceof Refused && error.status === 401) key.forget();
      become(locked ? "locked" : "lost");
      if (!(error instanceof Refused || error instanceof TypeError || error instanceof DOMException)) console.error(error);
    }
    patience = Math.min(5000, patience * 2 || 300);
    const wait = now.connection === "locked" ? 3_600_000 : patience;
    await new Promise((resolve) => {
      waiting = () => resolve(undefined);
      setTimeout(resolve, wait);
    });
  }
}
