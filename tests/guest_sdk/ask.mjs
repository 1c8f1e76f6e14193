// Lets @phala/dstack-sdk talk: {client, endpoint, method, arguments, then?} -> what it answered, one line each. Bytes are
// {hex} both ways; `then` names a method of the answer to ask too. Its one argument is the folder of node_modules.
import { Console } from 'node:console';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

// Standard output is for answers, so what the package prints goes nowhere.
globalThis.console = new Console(new Writable({ write: (_chunk, _encoding, done) => done() }));
const sdk = createRequire(`${process.argv[2]}/package.json`)('@phala/dstack-sdk');

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    const { client, endpoint, method, arguments: given = [], then } = JSON.parse(line);
    const answer = await new sdk[client](endpoint)[method](...bytesIn(given));
    reply = { answer: bytesOut(then ? { ...answer, [then]: answer[then]() } : answer) };
  } catch (error) {
    reply = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
}
process.exit(0); // it keeps connections to a port alive

function bytesIn(value) {
  if (Array.isArray(value)) return value.map(bytesIn);
  if (value === null || typeof value !== 'object') return value;
  return typeof value.hex === 'string' ? Buffer.from(value.hex, 'hex') : value;
}

function bytesOut(value) {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(bytesOut);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, bytesOut(item)]));
}
