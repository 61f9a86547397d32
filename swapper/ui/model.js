// One model: what it does, what systemd has of it, its settings and who said so, its journal.

import { attr, h, keyed, say, section, table } from "./dom.js";
import { bytes, clock, percent, seconds } from "./format.js";
import { json, modelPath, reason } from "./api.js";
import { news, now } from "./live.js";
import { journal } from "./journal.js";
import { badge, operations, shown } from "./parts.js";

/**
 * @typedef {import("./types.js").Model} Model
 * @typedef {{name: string, value: string, source: string, place: string}} Setting
 * @typedef {{path: string, text: string, problem: string}} UnitFile
 */

/**
 * @param {HTMLElement} main
 * @param {string} name
 * @returns {import("./main.js").View}
 */
export function modelPage(main, name) {
  const state = badge();
  const buttons = operations();
  const why = h("p", { class: "why" });
  const failure = h("div", { class: "notice bad", hidden: true });
  const facts = h("dl", { class: "facts" });
  const unknown = h("p", { class: "notice", hidden: true }, `No model ${name} is configured.`);
  const showFacts = keyed(facts, (/** @type {[string, string]} */ fact) => fact[0], pair);
  const log = journal(name);
  const unit = unitFiles(name);
  const settings = settingsTable(name);
  main.append(
    h("div", { class: "title" }, h("h1", {}, name), state.node, buttons.node),
    unknown, why, failure,
    section("What it does", "h-facts", facts),
    section("Journal", "h-journal", log.node),
    section("Settings in force", "h-settings", settings.node),
    section("Unit file", "h-unit", unit.node),
  );
  /** @param {Event} event */
  const changed = (event) => {
    if (/** @type {CustomEvent} */ (event).detail.model === name) void settings.look();
  };
  news.addEventListener("state", changed);
  void unit.look();
  void settings.look();
  return {
    title: name,
    update: () => {
      const model = shown(name);
      unknown.hidden = model !== undefined || now.overview === null;
      if (!model) return;
      state.update(model);
      buttons.update(model);
      say(why, model.reason === model.state || model.failure ? "" : model.reason);
      failure.hidden = !model.failure;
      if (model.failure) say(failure, `${model.failure.message} ${model.failure.hint}`);
      showFacts(describe(model));
    },
    close: () => {
      news.removeEventListener("state", changed);
      log.close();
    },
  };
}

/**
 * @param {Model} model
 * @returns {[string, string][]}
 */
function describe(model) {
  const memory = model.memory.filter((use) => use.gpu >= 0).map((use) => `GPU ${use.gpu}: ${use.declared === null ? "all" : bytes(use.declared)} declared`
    + (use.measured === null ? "" : `, ${bytes(use.measured)} in use${use.exceeds ? " (more than declared)" : ""}`));
  /** @type {[string, string][]} */
  const facts = [
    ["systemd says", model.status_text || "—"],
    ["Unit", model.unit],
    ["Since", model.since === null ? "the router's start" : clock(model.since)],
    ["Requests", `${model.leases} running, ${model.waiting} waiting`],
    ["GPU", model.gpus.length ? model.gpus.join(", ") : "none"],
    ["Memory", memory.join("; ") || "—"],
    ["Context", model.context_length === null ? "known when it has run" : `${model.context_length} tokens`],
    ["Can", model.capabilities.join(", ") || "—"],
    ["Last load", seconds(model.load_seconds)],
    ["Stays", model.pinned ? "pinned: never makes room" : model.ttl === null ? "until its place is wanted" : `${seconds(model.ttl)} after its last request`],
    ["Configured in", model.configured_at],
  ];
  if (model.aliases.length) facts.splice(1, 0, ["Also called", model.aliases.join(", ")]);
  if (model.groups.length) {
    facts.push(["Groups", model.groups.map((group) => `${group.name} (${group.rule.replace("_", " ")}): ${group.models.join(", ")}`).join("; ")]);
  }
  const parked = now.overview?.parked.find((each) => each.model === model.id);
  if (parked) facts.push(["Parked", `${bytes(parked.bytes)} of the host's memory`]);
  if (model.memory_hint) facts.push(["Memory hint", model.memory_hint]);
  if (model.progress !== null) facts.unshift([model.state === "incomplete" ? "Pulled" : "Loaded", percent(model.progress / 100)]);
  return facts;
}

/**
 * @param {[string, string]} first
 * @returns {import("./dom.js").Part<[string, string]>}
 */
function pair(first) {
  const value = h("dd");
  return { node: h("div", {}, h("dt", {}, first[0]), value), update: ([, text]) => say(value, text) };
}

const SOURCES = /** @type {Record<string, string>} */ ({
  configuration: "configuration", default: "default", unit: "systemd unit", engine: "engine",
});

/** @param {string} name */
function settingsTable(name) {
  const body = h("tbody");
  const problem = h("p", { class: "muted", hidden: true });
  const show = keyed(body, (/** @type {Setting} */ setting) => setting.name, (first) => {
    const value = h("td", { class: "value" });
    const source = h("td");
    const node = h("tr", {}, h("th", { scope: "row" }, h("code", {}, first.name)), value, source);
    return {
      node,
      update: (setting) => {
        say(value, setting.value);
        attr(node, "data-source", setting.source);
        say(source, [SOURCES[setting.source], setting.place].filter(Boolean).join(": "));
      },
    };
  });
  const whole = table("Settings in force", ["Setting", "Value", "Where from"], body, "settings");
  const all = h("label", { class: "row" }, h("input", {
    type: "checkbox", onchange: (/** @type {Event} */ event) =>
      attr(whole, "data-all", /** @type {HTMLInputElement} */ (event.target).checked),
  }), "Defaults too");
  return {
    node: h("div", {}, problem, whole, all),
    look: async () => {
      try {
        show((await json(modelPath(name, "/settings"))).settings);
        whole.hidden = all.hidden = false;
        problem.hidden = true;
      } catch (error) {
        whole.hidden = all.hidden = !body.childElementCount;
        problem.hidden = false;
        say(problem, reason(error));
      }
    },
  };
}

/** @param {string} name */
function unitFiles(name) {
  const files = h("div", { class: "files" });
  const note = h("p", { class: "muted" });
  const show = keyed(files, (/** @type {UnitFile} */ file) => file.path, (first) => {
    const text = h("pre", { tabindex: 0, "aria-label": first.path });
    return {
      node: h("details", { open: true }, h("summary", {}, h("code", {}, first.path)), text),
      update: (file) => say(text, file.problem ? `cannot be read: ${file.problem}` : file.text || "(empty: masked)"),
    };
  });
  const look = async () => {
    try {
      const found = await json(modelPath(name, "/unit"));
      show(found.files);
      say(note, found.stale ? "Files have changed since systemd read them: systemctl daemon-reload"
        : `What systemctl cat ${found.unit} prints: the later files override the earlier.`);
    } catch (error) {
      say(note, reason(error));
    }
  };
  return {
    node: h("div", {}, note, files, h("button", { type: "button", onclick: look }, "Read again")),
    look,
  };
}
