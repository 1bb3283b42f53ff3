// What an agent does with OpenAI's library: all of its configuration comes from
// the environment.
import OpenAI from "openai";

const openai = new OpenAI({ maxRetries: 0, logLevel: "off" });
const ask = { model: process.env.MODEL, max_tokens: 64, messages: [{ role: "user", content: "Hello?" }] };
const out = {};

async function attempt(name, work) {
  try {
    out[name] = await work();
  } catch (error) {
    out[name] = `${error.status}: ${error.message}`;
  }
}

await attempt("chat", async () => (await openai.chat.completions.create(ask)).choices[0].message.content);
await attempt("stream", async () => {
  const words = [];
  for await (const chunk of await openai.chat.completions.create({ ...ask, stream: true })) {
    words.push(chunk.choices[0]?.delta?.content ?? "");
  }
  return words.filter((w) => w !== "");
});
await attempt("another model", async () => (await openai.chat.completions.create({ ...ask, model: "gpt-expensive" })).id);
await attempt("too many tokens", async () => (await openai.chat.completions.create({ ...ask, max_tokens: 100000 })).id);
await attempt("tools", async () =>
  (await openai.chat.completions.create({ ...ask, tools: [{ type: "function", function: { name: "f", parameters: {} } }] })).id);
await attempt("files", async () => (await openai.files.list()).data.length);
console.log(JSON.stringify(out));
