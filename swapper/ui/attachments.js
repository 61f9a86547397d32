// Pictures and sound that go along with a question.

import { alarm, h } from "./dom.js";
import { microphone } from "./microphone.js";
import { dataUrl, toWav } from "./sound.js";

/** Bytes of the largest picture: the router takes more, but a browser holds it three times. */
const LARGEST = 20 << 20;

/**
 * @param {() => import("./types.js").Model | undefined} model Who gets them.
 * @param {(sound: Blob) => void | Promise<void>} dictate What is done with sound that the model does not take.
 */
export function attachments(model, dictate) {
  /** @type {Record<string, any>[]} */
  let parts = [];
  const chosen = h("ul", { class: "chosen", "aria-label": "Attached" });
  const takes = (/** @type {string} */ what) => model()?.architecture.input_modalities.includes(what) ?? false;

  /**
   * @param {Record<string, any>} part
   * @param {HTMLElement} shown
   * @param {string} name
   */
  const add = (part, shown, name) => {
    parts.push(part);
    const item = h("li", {}, shown, h("button", {
      type: "button", class: "quiet", "aria-label": `Remove ${name}`, onclick: () => {
        parts = parts.filter((each) => each !== part);
        item.remove();
      },
    }, "✕"));
    chosen.append(item);
  };
  /** @param {Blob} sound */
  const hear = async (sound) => {
    const url = await dataUrl(sound);
    add({ type: "input_audio", input_audio: { data: url.slice(url.indexOf(",") + 1), format: "wav" } },
      h("audio", { controls: true, src: URL.createObjectURL(sound) }), "the sound");
  };
  /** @param {File} file */
  const take = async (file) => {
    if (file.size > LARGEST) return alarm(`${file.name} is too large.`);
    if (file.type.startsWith("image/")) {
      const url = await dataUrl(file);
      add({ type: "image_url", image_url: { url } }, h("img", { src: url, alt: file.name }), file.name);
    } else {
      await hear(await toWav(file));
    }
  };
  const input = /** @type {HTMLInputElement} */ (h("input", { type: "file", id: "chat-files", multiple: true, class: "unseen" }));
  input.addEventListener("change", async () => {
    for (const file of input.files ?? []) await take(file).catch((problem) => alarm(`${file.name}: ${problem}`));
    input.value = "";
  });
  const attach = h("label", { for: "chat-files", class: "button" }, "Attach");
  const recorder = microphone(async (sound) => (takes("audio") ? hear(sound) : dictate(sound)));
  return {
    chosen,
    buttons: [input, attach, recorder.node],
    any: () => parts.length > 0,
    take: () => {
      const taken = parts;
      parts = [];
      chosen.replaceChildren();
      return taken;
    },
    update: () => {
      const kinds = [takes("image") && "image/*", takes("audio") && "audio/*"].filter(Boolean).join(",");
      input.accept = kinds;
      input.disabled = attach.hidden = !kinds;
    },
    close: recorder.close,
  };
}
