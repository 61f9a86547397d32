// The last hour: a row for each model that did something, states as colours, and where it served as a thicker line.

import { attr, h, keyed, say, svg } from "./dom.js";
import { clock, plural, seconds } from "./format.js";
import { modelLink } from "./parts.js";

/**
 * @typedef {import("./types.js").State} State
 * @typedef {import("./types.js").Timeline} Timeline
 * @typedef {typeof import("./live.js").now} Now
 * @typedef {{begin: number, end: number, state: State, reason: string}} Stay
 * @typedef {{model: string, since: number, until: number, stays: Stay[], served: Timeline["served"]}} Row
 */

const HOUR = 3600;
/** Seconds that the shortest thing is drawn as: about two pixels. */
const LEAST = 9;
const QUIET = new Set(["stopped", "disabled", "incomplete"]);
/** In the order of the legend. */
const LEGEND = [["starting", "loading"], ["ready", "ready"], ["serving", "serving"], ["draining", "draining"],
  ["stopping", "stopping"], ["parked", "parked"], ["failed", "failed"]];

/** @returns {import("./dom.js").Part<Now>} */
export function timeline() {
  const rows = h("ul", { class: "rows" });
  const axis = h("div", { class: "axis muted", "aria-hidden": "true" },
    h("span"), h("div", {}, ...["60 min ago", "45", "30", "15", "now"].map((text) => h("span", {}, text))));
  const legend = h("ul", { class: "legend", "aria-label": "Colours" }, ...LEGEND.map(([state, word]) =>
    h("li", {}, h("span", { class: "swatch", "data-state": state, "aria-hidden": "true" }), word)));
  const none = h("p", { class: "muted" }, "Nothing was loaded in the last hour.");
  const changes = h("tbody");
  const list = h("details", {}, h("summary", {}, "Changes of state, as a list"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Changes of state" },
      h("table", {}, h("thead", {}, h("tr", {}, ...["When", "Model", "From", "To", "Why"].map(
        (head) => h("th", { scope: "col" }, head)))), changes)));
  const show = keyed(rows, (/** @type {Row} */ row) => row.model, line);
  const showChanges = keyed(changes, (/** @type {import("./types.js").Changed} */ each) => `${each.at} ${each.model} ${each.new}`, change);
  return {
    node: h("div", { class: "timeline" }, none, rows, axis, legend, list),
    update: (now) => {
      if (!now.timeline) return;
      const found = arrange(now);
      show(found);
      none.hidden = found.length > 0;
      rows.hidden = axis.hidden = legend.hidden = list.hidden = !found.length;
      showChanges([...now.timeline.changes].reverse().slice(0, 100));
    },
  };
}

/**
 * @param {import("./types.js").Changed} each
 * @returns {import("./dom.js").Part<import("./types.js").Changed>}
 */
function change(each) {
  return {
    node: h("tr", {}, h("td", {}, clock(each.at)), h("td", {}, each.model), h("td", {}, each.old), h("td", {}, each.new), h("td", { class: "why" }, each.reason)),
    update: () => undefined,
  };
}

/**
 * Who did what when.
 * @param {Now} now
 * @returns {Row[]}
 */
function arrange({ timeline: hour, overview }) {
  if (!hour) return [];
  const until = hour.until;
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @param {string} model */
  const row = (model) => {
    const found = rows.get(model) ?? { model, since: until - HOUR, until, stays: [], served: [] };
    rows.set(model, found);
    return found;
  };
  for (const each of hour.changes) {
    const own = row(each.model);
    const last = own.stays.at(-1);
    if (last) last.end = each.at;
    else own.stays.push({ begin: hour.since, end: each.at, state: each.old, reason: "" });
    own.stays.push({ begin: each.at, end: until, state: each.new, reason: each.reason });
  }
  for (const model of overview?.models ?? []) {
    if (!rows.has(model.id) && !QUIET.has(model.state)) {
      row(model.id).stays.push({ begin: hour.since, end: until, state: model.state, reason: model.reason });
    }
  }
  for (const each of hour.served) row(each.model).served.push(each);
  const order = new Map(overview?.models.map((model, index) => [model.id, index]));
  return [...rows.values()].sort((a, b) => (order.get(a.model) ?? 1e9) - (order.get(b.model) ?? 1e9));
}

/**
 * @param {Row} first
 * @returns {import("./dom.js").Part<Row>}
 */
function line(first) {
  const picture = svg("svg", { viewBox: `0 0 ${HOUR} 20`, preserveAspectRatio: "none", role: "img" });
  let drawn = "";
  return {
    node: h("li", {}, modelLink(first.model), h("div", { class: "strip" }, picture)),
    update: (row) => {
      const now = JSON.stringify(row);
      if (now === drawn) return;
      drawn = now;
      picture.replaceChildren(
        ...row.stays.filter((stay) => !QUIET.has(stay.state)).map((stay) => mark(row, stay.begin, stay.end, stay.state, 6, 8,
          `${stay.state} from ${clock(stay.begin)}, ${seconds(stay.end - stay.begin)}${stay.reason && stay.reason !== stay.state ? `: ${stay.reason}` : ""}`)),
        ...row.served.map((span) => mark(row, span.begin, span.end, "serving", 2, 16,
          `served ${plural(span.requests, "request")} from ${clock(span.begin)} to ${clock(span.end)}`)),
        ...row.stays.filter((stay) => stay.state === "failed").map((stay) => mark(row, stay.begin, stay.begin, "failed", 0, 20,
          `failed at ${clock(stay.begin)}: ${stay.reason}`)),
      );
      attr(picture, "aria-label", words(row));
    },
  };
}

/**
 * @param {Row} row
 * @param {number} begin
 * @param {number} end
 * @param {string} state
 * @param {number} y
 * @param {number} height
 * @param {string} text
 */
function mark(row, begin, end, state, y, height, text) {
  const x = Math.max(0, begin - row.since);
  const width = Math.max(LEAST, Math.min(end, row.until) - Math.max(begin, row.since));
  const title = svg("title");
  say(title, text);
  return svg("rect", { x: Math.min(x, HOUR - LEAST).toFixed(1), y, width: width.toFixed(1), height, "data-state": state }, title);
}

/** @param {Row} row */
function words(row) {
  const loads = row.stays.filter((stay) => stay.state === "starting").length;
  const failures = row.stays.filter((stay) => stay.state === "failed").length;
  const requests = row.served.reduce((sum, span) => sum + span.requests, 0);
  return `${row.model}: ${plural(loads, "load")}, ${plural(requests, "request")}, ${plural(failures, "failure")}`;
}
