// Requests to engines: those under way, which can be ended, and the last ones.

import { alarm, attr, h, keyed, say, speak, table } from "./dom.js";
import { bytes, clock, count, seconds } from "./format.js";
import { cancel, reason } from "./api.js";
import { lookAnew } from "./live.js";
import { enable, modelLink } from "./parts.js";

/**
 * @typedef {import("./types.js").LiveRequest} LiveRequest
 * @typedef {import("./types.js").EndedRequest} EndedRequest
 * @typedef {typeof import("./live.js").now} Now
 */

/** @type {Record<string, string>} */
const PHASES = {
  preparing: "fetches media", waiting: "waits for the model", sending: "the engine reads", answering: "is answered",
  explaining: "failed", over: "over",
};

/** @returns {import("./dom.js").Part<Now>} */
export function requests() {
  const running = h("tbody");
  const ended = h("tbody");
  const none = h("p", { class: "muted" }, "No request is under way.");
  let may = false;
  const showRunning = keyed(running, (/** @type {LiveRequest} */ each) => each.id, () => live(() => may));
  const showEnded = keyed(ended, (/** @type {EndedRequest} */ each) => `${each.id} ${each.at}`, over);
  const first = table("Requests under way", ["Model", "Now", "Path", "Key", "For", "Waited", "First byte", "Sent", "Do"], running, "requests");
  const last = h("details", { open: true }, h("summary", {}, "The last requests"),
    table("The last requests", ["Ended", "Model", "Path", "Key", "Status", "Waited", "Loading", "First byte", "Took", "Tokens", "Request"], ended, "requests"));
  return {
    node: h("div", {}, none, first, last),
    update: ({ requests: known, who }) => {
      if (!known) return;
      may = who?.admin ?? false;
      showRunning(known.running);
      showEnded(known.ended.slice(0, 50));
      none.hidden = known.running.length > 0;
      first.hidden = !none.hidden;
      last.hidden = !known.ended.length;
    },
  };
}

/**
 * @param {() => boolean} may
 * @returns {import("./dom.js").Part<LiveRequest>}
 */
function live(may) {
  let id = "";
  const cells = ["Model", "Now", "Path", "Key", "For", "Waited", "First byte", "Sent"].map((label) => h("td", { "data-label": label }));
  const button = h("button", {
    type: "button", class: "danger", onclick: async () => {
      attr(button, "aria-busy", true);
      try {
        await cancel(id);
        speak("The request was ended.");
      } catch (error) {
        alarm(reason(error));
      } finally {
        attr(button, "aria-busy", false);
        lookAnew();
      }
    },
  }, "Cancel");
  return {
    node: h("tr", {}, ...cells, h("td", { class: "do" }, button)),
    update: (each) => {
      id = each.id;
      attr(button, "aria-label", `Cancel request ${id} to ${each.model}`);
      enable(button, may());
      if (!cells[0].firstChild) cells[0].append(modelLink(each.model));
      const texts = [null, PHASES[each.phase] ?? each.phase, each.path, each.key || "—", seconds(each.age), seconds(each.queued), seconds(each.first), bytes(each.sent)];
      texts.forEach((text, index) => text !== null && say(cells[index], text));
    },
  };
}

/**
 * @param {EndedRequest} each
 * @returns {import("./dom.js").Part<EndedRequest>}
 */
function over(each) {
  const good = each.status < 400 && !each.reason;
  const tokens = each.tokens_out === null ? "—" : `${count(each.tokens_in)} → ${count(each.tokens_out)}`;
  const texts = [each.path, each.key || "—", null, seconds(each.queued), seconds(each.loading), seconds(each.first), seconds(each.total), tokens];
  const labels = ["Path", "Key", "Status", "Waited", "Loading", "First byte", "Took", "Tokens"];
  return {
    node: h("tr", {}, h("td", { "data-label": "Ended" }, clock(each.at)), h("td", { "data-label": "Model" }, each.model || "—"),
      ...texts.map((text, index) => h("td", { "data-label": labels[index], "data-none": text === "—" }, text
        ?? h("span", { class: good ? "good" : "bad" }, `${each.status}${each.reason ? ` ${each.reason}` : ""}`))),
      h("td", { "data-label": "Request" }, h("code", {}, each.id))),
    update: () => undefined,
  };
}
