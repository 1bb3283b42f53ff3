// An MCP client of the official TypeScript SDK, whose directory is the first
// argument. It does what its standard input says, a JSON object on each line,
// and tells what came of it, and what the server sent, on lines of its standard
// output. What it speaks is what test/mcp/gosdk speaks.
import { createInterface } from "node:readline";

const sdk = process.argv[2] + "/dist/esm/";
const { Client } = await import(sdk + "client/index.js");
const { StreamableHTTPClientTransport } = await import(sdk + "client/streamableHttp.js");
const types = await import(sdk + "types.js");

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const tellEvent = (message) => tell({ event: message.method, params: message.params });
const text = (content) => content.map((c) => c.text ?? "").join("\n");

let client, transport;

async function connect({ revision }) {
  client = new Client({ name: "tssdk", version: "1" }, { capabilities: { sampling: {}, elicitation: {}, roots: {} } });
  client.setRequestHandler(types.CreateMessageRequestSchema, (request) => {
    tellEvent(request);
    return { role: "user", model: "none", content: { type: "text", text: "sampled" } };
  });
  client.setRequestHandler(types.ElicitRequestSchema, (request) => {
    tellEvent(request);
    return { action: "accept", content: { name: "elicited" } };
  });
  client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: [{ uri: "file:///roots/one", name: "one" }] }));
  client.fallbackNotificationHandler = async (notification) => tellEvent(notification);
  if (revision) {
    throw new Error("the SDK asks for the revision that it likes best");
  }
  transport = new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), {
    requestInit: { headers: { Authorization: "Bearer " + process.env.MCP_TOKEN } },
    reconnectionOptions: { initialReconnectionDelay: 10, maxReconnectionDelay: 100, reconnectionDelayGrowFactor: 2, maxRetries: 5 },
  });
  transport.onerror = () => {}; // what a step fails with, the step tells
  await client.connect(transport);
  return { revision: transport.protocolVersion, session: transport.sessionId };
}

const steps = {
  connect,
  tools: async () => (await client.listTools()).tools.map((t) => t.name),
  resources: async () => (await client.listResources()).resources.map((r) => r.uri),
  templates: async () => (await client.listResourceTemplates()).resourceTemplates.map((r) => r.uriTemplate),
  prompts: async () => (await client.listPrompts()).prompts.map((p) => p.name),
  call: async ({ name, arguments: given, progress }) => {
    const options = progress ? { onprogress: (params) => tell({ event: "notifications/progress", params }) } : {};
    const got = await client.callTool({ name, arguments: given ?? undefined }, undefined, options);
    return { text: text(got.content), isError: got.isError ?? false };
  },
  read: async ({ uri }) => ({ text: (await client.readResource({ uri })).contents.map((c) => c.text ?? c.blob).join("\n") }),
  get: async ({ name, prompt }) => ({ text: text((await client.getPrompt({ name, arguments: prompt })).messages.map((m) => m.content)) }),
  subscribe: ({ uri }) => client.subscribeResource({ uri }),
  unsubscribe: ({ uri }) => client.unsubscribeResource({ uri }),
  ping: () => client.ping(),
  complete: ({ name }) => client.complete({ ref: { type: "ref/prompt", name }, argument: { name: "city", value: "a" } }),
  level: ({ name }) => client.setLoggingLevel(name),
  close: async () => {
    await transport.terminateSession();
    await client.close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  try {
    tell({ done: true, result: await steps[step.do](step) });
  } catch (error) {
    tell({ done: true, error: String(error.message), code: error.code });
  }
}
process.exit(0);
