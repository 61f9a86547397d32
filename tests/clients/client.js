// OpenAI's package for Node: a chat, a stream, a stream that is left, and an error, as one JSON document.
// NODE_PATH says where the package is; the arguments are the base URL and the models.
const { OpenAI, NotFoundError } = require("openai");

async function main([baseURL, model, nobody]) {
  const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  const ask = (content, more) =>
    client.chat.completions.create({ model, messages: [{ role: "user", content }], ...more });

  const models = [];
  for await (const one of client.models.list()) models.push(one.id);
  const chat = (await ask("Hello!")).choices[0].message.content;

  const stream = [];
  for await (const chunk of await ask("Hello!", { stream: true })) {
    stream.push(chunk.choices[0]?.delta?.content ?? "");
  }

  let left = 0;
  for await (const chunk of await ask("LOOP", { stream: true })) {
    left += chunk.choices.length;
    if (left >= 3) break;
  }

  const response = (await client.responses.create({ model, input: "Hello!" })).output_text;
  const vectors = (await client.embeddings.create({ model, input: ["Hello!", "Hello?"] })).data;

  const error = await client.models.retrieve(nobody).catch((caught) => caught);
  const told = { known: error instanceof NotFoundError, code: error.code, message: error.message };
  console.log(JSON.stringify({ models, chat, stream, left, response, embeddings: vectors.length, error: told }));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
