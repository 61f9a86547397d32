// The last hour, or less of it: a row for each model that did something, states as colours, serving as a thicker line.

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

/** The picture's width, in its own units, and the least that something is drawn as: about two pixels. */
const WIDE = 3600;
const LEAST = 9;
/** Minutes that may be shown. */
const SPANS = [60, 15, 5];
const QUIET = new Set(["stopped", "disabled", "incomplete"]);
/** In the order of the legend. */
const LEGEND = [["starting", "loading"], ["ready", "ready"], ["serving", "serving"], ["draining", "draining"],
  ["stopping", "stopping"], ["parked", "parked"], ["failed", "failed"]];

/** @returns {import("./dom.js").Part<Now>} */
export function timeline() {
  const rows = h("ul", { class: "rows" });
  let minutes = SPANS[0];
  const marks = [0, 1, 2, 3, 4].map(() => h("span"));
  const axis = h("div", { class: "axis muted", "aria-hidden": "true" }, h("span"), h("div", {}, ...marks));
  /** @type {Now | null} */
  let last = null;
  const spans = h("fieldset", { class: "spans" }, h("legend", { class: "unseen" }, "How far back"), ...SPANS.map((each) =>
    h("label", {}, h("input", {
      type: "radio", name: "span", value: each, checked: each === minutes, onchange: () => {
        minutes = each;
        if (last) update(last);
      },
    }), each === 60 ? "1 hour" : `${each} min`)));
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
  /** @param {Now} now */
  const update = (now) => {
    last = now;
    if (!now.timeline) return;
    const found = arrange(now, minutes * 60);
    show(found);
    none.hidden = found.length > 0;
    rows.hidden = axis.hidden = legend.hidden = !found.length;
    spans.hidden = list.hidden = !now.timeline.changes.length && !found.length;
    say(none, `Nothing was loaded in the last ${minutes === 60 ? "hour" : `${minutes} minutes`}.`);
    marks.forEach((mark, index) => say(mark, index === 4 ? "now" : `${minutes * (4 - index) / 4}${index ? "" : " min ago"}`));
    showChanges([...now.timeline.changes].reverse().slice(0, 100));
  };
  return { node: h("div", { class: "timeline" }, spans, none, rows, axis, legend, list), update };
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
 * @param {number} span Seconds that are shown.
 * @returns {Row[]}
 */
function arrange({ timeline: hour, overview }, span) {
  if (!hour) return [];
  const until = hour.until;
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @param {string} model */
  const row = (model) => {
    const found = rows.get(model) ?? { model, since: until - span, until, stays: [], served: [] };
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
  const within = (/** @type {Row} */ each) => {
    each.stays = each.stays.filter((stay) => stay.end >= each.since && !QUIET.has(stay.state));
    each.served = each.served.filter((one) => one.end >= each.since);
    return each.stays.length + each.served.length > 0;
  };
  return [...rows.values()].filter(within).sort((a, b) => (order.get(a.model) ?? 1e9) - (order.get(b.model) ?? 1e9));
}

/**
 * @param {Row} first
 * @returns {import("./dom.js").Part<Row>}
 */
function line(first) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} 20`, preserveAspectRatio: "none", role: "img" });
  let drawn = "";
  return {
    node: h("li", {}, modelLink(first.model), h("div", { class: "strip" }, picture)),
    update: (row) => {
      const now = JSON.stringify(row);
      if (now === drawn) return;
      drawn = now;
      picture.replaceChildren(
        ...row.stays.map((stay) => mark(row, stay.begin, stay.end, stay.state, 6, 8,
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
  const scale = WIDE / (row.until - row.since);
  const x = Math.max(0, begin - row.since) * scale;
  const width = Math.max(LEAST, (Math.min(end, row.until) - Math.max(begin, row.since)) * scale);
  const title = svg("title");
  say(title, text);
  return svg("rect", { x: Math.min(x, WIDE - LEAST).toFixed(1), y, width: width.toFixed(1), height, "data-state": state }, title);
}

/** @param {Row} row */
function words(row) {
  const loads = row.stays.filter((stay) => stay.state === "starting").length;
  const failures = row.stays.filter((stay) => stay.state === "failed").length;
  const requests = row.served.reduce((sum, span) => sum + span.requests, 0);
  return `${row.model}: ${plural(loads, "load")}, ${plural(requests, "request")}, ${plural(failures, "failure")}`;
}
