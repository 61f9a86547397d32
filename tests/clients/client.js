// OpenAI's package for Node: each kind of question once, and two errors, as one JSON document.
// NODE_PATH says where the package is; the argument is a JSON document: base URL, models, a schema, a recording, and the
// command that kills the engine of the last model.
const { execSync } = require("node:child_process");
const fs = require("node:fs");
const { APIError, NotFoundError, OpenAI, RateLimitError } = require("openai");

const said = (error) => ({ name: error.constructor.name, code: error.code, status: error.status, message: error.message });

async function main({ baseURL, writer, caller, ear, judge, narrow, nobody, schema, recording, coder, kill }) {
  const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  const ask = (model, content, more) =>
    client.chat.completions.create({ model, messages: [{ role: "user", content }], ...more });

  const models = [];
  for await (const one of client.models.list()) models.push(one.id);
  const model = await client.models.retrieve(writer);
  const chat = (await ask(writer, "Hello!")).choices[0].message.content;

  const stream = [];
  for await (const chunk of await ask(writer, "Hello!", { stream: true })) {
    stream.push(chunk.choices[0]?.delta?.content ?? "");
  }

  let left = 0;
  for await (const chunk of await ask(writer, "LOOP", { stream: true })) {
    left += chunk.choices.length;
    if (left >= 3) break;
  }

  const response = (await client.responses.create({ model: writer, input: "Hello!" })).output_text;
  const vectors = (await client.embeddings.create({ model: writer, input: ["Hello!", "Hello?"] })).data;
  const wanted = { type: "json_schema", json_schema: { name: "weather", strict: true, schema } };
  const weather = JSON.parse((await ask(writer, "Hello!", { response_format: wanted })).choices[0].message.content);
  const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
  const call = (await ask(caller, "Hello!", { tools })).choices[0].message.tool_calls[0].function;
  const rerank = await client.post("/rerank", { body: { model: judge, query: "Hello!", documents: ["One.", "Two!"] } });
  const file = fs.createReadStream(recording);
  const transcript = (await client.audio.transcriptions.create({ model: ear, file })).text;

  const unknown = await client.models.retrieve(nobody).catch((caught) => caught);
  const busy = await ask(narrow, "LOOP", { stream: true });
  const refused = await ask(narrow, "Hello!").catch((caught) => caught);
  busy.controller.abort();
  let cut = null;
  try {
    for await (const chunk of await ask(coder, "LOOP", { stream: true })) if (!cut) cut = execSync(kill) && chunk;
  } catch (caught) {
    cut = caught;
  }
  const errors = {
    unknown: { ...said(unknown), known: unknown instanceof NotFoundError },
    refused: { ...said(refused), known: refused instanceof RateLimitError },
    cut: { ...said(cut), known: cut instanceof APIError },
  };
  const told = { models, model, chat, stream, left, response, embeddings: vectors.length, weather, call, rerank };
  console.log(JSON.stringify({ ...told, transcript, errors }));
}

main(JSON.parse(process.argv[2])).catch((error) => {
  console.error(error);
  process.exit(1);
});
