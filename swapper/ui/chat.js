// A chat: the answer streams in, with what it waits for; pictures and sound go along where the model takes them.

import { alarm, attr, h, say, speak } from "./dom.js";
import { ask, reason } from "./api.js";
import { attachments } from "./attachments.js";
import { seconds } from "./format.js";
import { now } from "./live.js";
import { modelChoice } from "./pick.js";
import { events } from "./sse.js";
import { transcribe } from "./transcription.js";

/**
 * @typedef {string | Record<string, any>[]} Content
 * @typedef {{role: string, content: Content}} Message
 */

export function chat() {
  const choice = modelChoice("chat-model", ["chat"]);
  const said = h("ol", { class: "talk", "aria-label": "Conversation" });
  const text = /** @type {HTMLTextAreaElement} */ (h("textarea", {
    id: "chat-text", rows: 2, placeholder: "Ask something", onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        void send();
      }
    },
  }));
  const system = /** @type {HTMLTextAreaElement} */ (h("textarea", { id: "chat-system", rows: 2 }));
  const go = h("button", { type: "submit", class: "primary" }, "Send");
  const halt = h("button", { type: "button", onclick: () => stream?.abort(), hidden: true }, "Stop");
  const anew = h("button", { type: "button", onclick: () => {
    stream?.abort();
    history = [];
    said.replaceChildren();
    text.focus();
  } }, "New conversation");
  const media = attachments(() => choice.model, async (sound) => {
    const ear = now.overview?.models.find((model) => model.capabilities.includes("transcription"));
    if (!ear) return alarm("This model does not hear, and no model here transcribes.");
    speak(`${ear.id} writes down what was said.`);
    try {
      text.value = `${text.value} ${await transcribe(ear.id, sound)}`.trim();
    } catch (error) {
      alarm(reason(error));
    }
  });
  /** @type {Message[]} */
  let history = [];
  /** @type {AbortController | null} */
  let stream = null;

  const send = async () => {
    const question = text.value.trim();
    if (stream || !choice.value || (!question && !media.any())) return;
    const parts = media.take();
    /** @type {Content} */
    const content = parts.length ? [...parts, { type: "text", text: question }] : question;
    history.push({ role: "user", content });
    said.append(bubble("You", question, parts));
    text.value = "";
    const answer = incoming(choice.value);
    said.append(answer.node);
    answer.node.scrollIntoView({ block: "nearest" });
    stream = new AbortController();
    halt.hidden = false;
    const before = system.value.trim();
    try {
      const full = await converse(choice.value, before ? [{ role: "system", content: before }, ...history] : history, stream.signal, answer);
      history.push({ role: "assistant", content: full });
      speak(`${choice.value} has answered.`);
    } catch (error) {
      history.pop();
      if (stream.signal.aborted) answer.note("stopped");
      else answer.fail(reason(error));
    } finally {
      stream = null;
      halt.hidden = true;
    }
  };

  const form = h("form", {
    class: "ask", onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void send();
    },
  }, h("label", { for: "chat-text", class: "unseen" }, "Message"), text, media.chosen,
  h("div", { class: "row" }, go, halt, ...media.buttons, h("span", { class: "grow" }), anew));
  return {
    node: h("div", { class: "try" }, choice.node,
      h("details", {}, h("summary", {}, "What it is told first"),
        h("label", { for: "chat-system", class: "unseen" }, "System prompt"), system),
      said, form),
    update: () => {
      choice.update();
      media.update();
    },
    close: () => {
      stream?.abort();
      media.close();
    },
  };
}

/**
 * @param {string} who
 * @param {string} text
 * @param {Record<string, any>[]} parts
 * @returns {HTMLElement}
 */
function bubble(who, text, parts) {
  const pictures = parts.filter((part) => part.image_url).map((part) => h("img", { src: part.image_url.url, alt: "Attached picture" }));
  const sounds = parts.filter((part) => part.input_audio).map(() => h("span", { class: "badge" }, "sound"));
  return h("li", { class: "mine" }, h("span", { class: "who" }, who), ...pictures, ...sounds, h("p", {}, text));
}

/** @typedef {ReturnType<typeof incoming>} Incoming */

/** @param {string} model */
function incoming(model) {
  const words = h("p");
  const thoughts = h("p");
  const thinking = h("details", { hidden: true }, h("summary", {}, "Reasoning"), thoughts);
  const note = h("span", { class: "muted small" }, "waiting…");
  return {
    node: h("li", { class: "theirs" }, h("span", { class: "who" }, model), thinking, words, note),
    /** @param {string} piece */
    add: (piece) => words.append(piece),
    /** @param {string} piece */
    think: (piece) => {
      thinking.hidden = false;
      thoughts.append(piece);
    },
    /** @param {string} text */
    note: (text) => say(note, text),
    /** @param {string} text */
    fail: (text) => {
      attr(note, "class", "error");
      say(note, text);
    },
  };
}

/**
 * Have a chat answered.
 * @param {string} model
 * @param {Message[]} messages
 * @param {AbortSignal} signal
 * @param {Incoming} answer
 * @returns {Promise<string>} All of the answer.
 */
async function converse(model, messages, signal, answer) {
  const began = performance.now();
  const response = await ask("v1/chat/completions", {
    method: "POST", signal, headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } }),
  });
  let full = "";
  let first = 0;
  let tokens = 0;
  if (!response.body) return full;
  for await (const { event, data } of events(response.body)) {
    if (event === "comment") {
      answer.note(data);
      continue;
    }
    if (data === "[DONE]") break;
    const said = JSON.parse(data);
    if (said.error) throw new Error(said.error.hint ? `${said.error.message} ${said.error.hint}` : said.error.message);
    tokens = said.usage?.completion_tokens ?? tokens;
    const delta = said.choices?.[0]?.delta ?? {};
    if (delta.reasoning_content) answer.think(delta.reasoning_content);
    if (!delta.content) continue;
    first = first || performance.now();
    full += delta.content;
    answer.add(delta.content);
  }
  answer.note(timing(began, first, performance.now(), tokens));
  return full;
}

/**
 * @param {number} began
 * @param {number} first
 * @param {number} ended
 * @param {number} tokens
 */
function timing(began, first, ended, tokens) {
  const told = first ? `first word after ${seconds((first - began) / 1000)}` : "no word";
  const speed = tokens > 1 && ended > first ? `, ${tokens} tokens, ${Math.round((tokens - 1) * 1000 / (ended - first))} a second` : "";
  return `${told}${speed}, ${seconds((ended - began) / 1000)} in all`;
}
