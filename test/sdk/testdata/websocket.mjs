// What an agent does with a WebSocket: it is that of Node.js, as browsers have it.
const address = process.env.EVENTS_URL.replace(/^http/, "ws") + "/socket";
const out = {};

// open resolves to a socket, or to undefined where there is none.
function open(token) {
  const socket = new WebSocket(address, { headers: { authorization: "Bearer " + token } });
  return new Promise((resolve) => {
    socket.addEventListener("open", () => resolve(socket));
    socket.addEventListener("error", () => resolve(undefined));
  });
}

// hear resolves to as many messages, or to what came and the code of the end.
function hear(socket, count) {
  const heard = [];
  return new Promise((resolve) => {
    socket.addEventListener("message", (event) => heard.push(event.data) === count && resolve(heard));
    socket.addEventListener("close", (event) => resolve([...heard, event.code]));
  });
}

async function say(name, messages, count) {
  const socket = await open(process.env.TOKEN);
  const hears = hear(socket, count);
  messages.forEach((message) => socket.send(message));
  out[name] = await hears;
  socket.close();
}

const ping = (text) => JSON.stringify({ type: "ping", text });
await say("granted", [ping("grüße 𝄞"), ping("")], 2);
const sizes = [125, 126, 65535, 65536, 200000];
await say("long", sizes.map((size) => ping("x".repeat(size))), sizes.length);
out.long = out.long.map((message) => JSON.parse(message).text.length);
await say("many", Array.from({ length: 500 }, (_, i) => ping(String(i))), 500);
out.many = out.many.every((message, i) => JSON.parse(message).text === String(i));
await say("another type", [ping("a"), JSON.stringify({ type: "drop" }), ping("b")], 3);
await say("no JSON", ["type=ping"], 1);
await say("binary", [new TextEncoder().encode(ping("a"))], 1);
out["another token"] = (await open("x")) === undefined;
console.log(JSON.stringify(out));
