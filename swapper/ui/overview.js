// The first page: what the machine does now.

import { h, section } from "./dom.js";
import { gpus } from "./gpus.js";
import { queue } from "./queue.js";
import { timeline } from "./timeline.js";
import { models } from "./models.js";
import { requests } from "./requests.js";
import { now } from "./live.js";

/**
 * @param {HTMLElement} main
 * @returns {import("./main.js").View}
 */
export function overview(main) {
  const parts = [gpus(), queue(), timeline(), models(), requests()];
  const shown = h("div", { class: "parts", hidden: true },
    section("GPUs", "h-gpus", parts[0].node),
    section("Queue", "h-queue", parts[1].node),
    section("Last hour", "h-hour", parts[2].node),
    section("Models", "h-models", parts[3].node),
    section("Requests", "h-requests", parts[4].node));
  main.append(h("h1", { class: "unseen" }, "Overview"), shown);
  return {
    title: "Overview",
    update: () => {
      shown.hidden = now.overview === null;
      for (const part of parts) part.update(now);
    },
  };
}
