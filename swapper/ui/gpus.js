// GPUs: how full they are, who is on them, and who waits in the host's memory.

import { attr, h, keyed, say } from "./dom.js";
import { bytes, percent, plural } from "./format.js";
import { badge, hue, modelLink, shown } from "./parts.js";

/**
 * @typedef {import("./types.js").Gpu} Gpu
 * @typedef {import("./types.js").Overview} Overview
 * @typedef {Gpu["residents"][number]} Resident
 * @typedef {typeof import("./live.js").now} Now
 */

/** @returns {import("./dom.js").Part<Now>} */
export function gpus() {
  const cards = h("ul", { class: "gpus" });
  const parked = h("p", { class: "parked", hidden: true });
  const show = keyed(cards, (/** @type {Gpu} */ gpu) => String(gpu.gpu), card);
  const node = h("div", {}, cards, parked);
  return {
    node,
    update: ({ overview }) => {
      if (!overview) return;
      show(overview.gpus);
      parked.hidden = !overview.parked.length;
      const all = overview.parked.reduce((sum, each) => sum + each.bytes, 0);
      const names = overview.parked.map((each) => `${each.model} ${bytes(each.bytes)}`).join(", ");
      say(parked, `Parked in the host's memory: ${names} (${bytes(all)} in all).`);
    },
  };
}

/** @returns {import("./dom.js").Part<Gpu>} */
function card() {
  const title = h("h3");
  const policy = h("span", { class: "muted" });
  const bar = h("div", { class: "bar", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 });
  const figures = h("p", { class: "figures muted" });
  const list = h("ul", { class: "residents" });
  const free = h("p", { class: "muted" }, "Nobody is here: the next request loads its model.");
  const showParts = keyed(bar, (/** @type {Piece} */ piece) => piece.key, segment);
  const showResidents = keyed(list, (/** @type {Resident} */ each) => each.model, resident);
  return {
    node: h("li", { class: "gpu" }, h("div", { class: "spread" }, title, policy), bar, figures, list, free),
    update: (gpu) => {
      say(title, gpu.name ? `GPU ${gpu.gpu} · ${gpu.name}` : `GPU ${gpu.gpu}`);
      say(policy, gpu.policy === "pack" ? "as many as fit" : "one at a time");
      const { pieces, full } = divide(gpu);
      showParts(pieces);
      attr(bar, "aria-label", `Memory of GPU ${gpu.gpu}`);
      attr(bar, "aria-valuenow", Math.round(full * 100));
      attr(bar, "aria-valuetext", use(gpu, full));
      say(figures, use(gpu, full) + (gpu.utilization === null ? "" : ` · ${gpu.utilization} % busy`));
      showResidents(gpu.residents);
      free.hidden = gpu.residents.length > 0;
    },
  };
}

/**
 * @param {Gpu} gpu
 * @param {number} full
 */
function use(gpu, full) {
  if (gpu.total !== null && gpu.used !== null) return `${bytes(gpu.used)} of ${bytes(gpu.total)} in use`;
  return gpu.residents.length ? `${percent(full)} taken, as models declare it` : "free, as far as models declare it";
}

/** @typedef {{key: string, part: number, hue: number | null, text: string}} Piece A part of a bar. */

/**
 * A GPU's memory in pieces: measured where that is known, else as declared.
 * @param {Gpu} gpu
 * @returns {{pieces: Piece[], full: number}}
 */
function divide(gpu) {
  const { total } = gpu;
  const pieces = gpu.residents.map((each) => {
    const part = total && each.measured !== null ? each.measured / total : each.share;
    return { key: each.model, part: Math.min(1, part), hue: hue(each.model), text: `${each.model}: ${percent(part)}` };
  });
  const known = pieces.reduce((sum, piece) => sum + piece.part, 0);
  const used = total && gpu.used !== null ? gpu.used / total : known;
  if (used - known > 0.005 && gpu.residents.every((each) => each.measured !== null)) {
    pieces.push({ key: "\u0000others", part: used - known, hue: /** @type {any} */ (null), text: `others: ${percent(used - known)}` });
  }
  return { pieces, full: Math.min(1, Math.max(used, 0)) };
}

/** @returns {import("./dom.js").Part<Piece>} */
function segment() {
  const node = h("div", { class: "piece" });
  return {
    node,
    update: (piece) => {
      node.style.width = `${(piece.part * 100).toFixed(2)}%`;
      node.title = piece.text;
      if (piece.hue === null) node.classList.add("others");
      else node.style.setProperty("--hue", String(piece.hue));
    },
  };
}

/**
 * @param {Resident} first
 * @returns {import("./dom.js").Part<Resident>}
 */
function resident(first) {
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const state = badge();
  const facts = h("span", { class: "muted" });
  return {
    node: h("li", {}, dot, modelLink(first.model), state.node, facts),
    update: (each) => {
      dot.style.setProperty("--hue", String(hue(each.model)));
      const model = shown(each.model);
      if (model) state.update(model);
      const size = each.measured === null ? percent(each.share) : bytes(each.measured);
      const busy = model?.leases ? ` · ${plural(model.leases, "request")}` : "";
      const groups = model?.groups.length ? ` · group ${model.groups.map((group) => group.name).join(", ")}` : "";
      const over = model?.memory.some((memory) => memory.gpu >= 0 && memory.exceeds) ? " · more than declared" : "";
      say(facts, `${size}${over}${busy}${groups}`);
    },
  };
}
