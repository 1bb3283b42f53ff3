// Loaded before a server that would listen on every address: it listens on the
// loopback one, and tells at which port.
const { Server } = require("node:net");

const listen = Server.prototype._listen2;
Server.prototype._listen2 = function (address, port, type, ...rest) {
  this.once("listening", () => process.stderr.write(`loopback port ${this.address().port}\n`));
  return listen.call(this, "127.0.0.1", port, 4, ...rest);
};
