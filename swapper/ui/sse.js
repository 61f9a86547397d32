// Server-sent events, read from a response: EventSource cannot show a key. (HTML Standard, "Server-sent events".)

/**
 * @typedef {object} SentEvent
 * @property {string} event Its name; `message` where it has none, `comment` for a comment.
 * @property {string} data
 */

/**
 * The events of a stream, as they come; comments too, for they say what a request waits for.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<SentEvent>}
 */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = "message";
  /** @type {string[]} */
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event, data: data.join("\n") };
          event = "message";
          data = [];
        } else if (line.startsWith(":")) yield { event: "comment", data: line.slice(1).trim() };
        else if (line.startsWith("event:")) event = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
