// Answers one JSON object per line: what each oracle script is made of. Its one argument is the folder of node_modules.
import { Console } from 'node:console';
import { register } from 'node:module';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

// Standard output is for answers, so whatever the packages print goes nowhere; what they throw becomes an answer.
globalThis.console = new Console(new Writable({ write: (_chunk, _encoding, done) => done() }));
Object.assign(process.env, { DEFAULT_LOG_LEVEL: 'fatal', LOG_LEVEL: 'fatal', LOG_JSON_FORMAT: 'true', TZ: 'UTC' });
process.chdir(process.argv[2]); // v0 loads the nearest .env above the working directory; the one here is empty
register('./hooks.mjs', import.meta.url, { data: pathToFileURL('package.json').href });

const { random } = Math;
const RealDate = Date;

// Reads requests until standard input ends; what `answer` throws becomes {error}. Packages are to be imported before,
// because some draw random numbers as they load.
export async function serve(answer) {
  for await (const line of createInterface({ input: process.stdin })) {
    let reply;
    try {
      const { seed, now, ...request } = JSON.parse(line);
      Math.random = seed === undefined ? random : seeded(seed);
      globalThis.Date = now === undefined ? RealDate : standing(now);
      reply = await answer(request);
    } catch (error) {
      reply = { error: `${error.name}: ${error.message}` };
    }
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
}

// A 32-bit linear congruential generator (the constants of Numerical Recipes), so that a test in any language can
// draw the same numbers: state = (1664525 * state + 1013904223) mod 2^32, number = state / 2^32.
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function standing(now) {
  return class extends RealDate {
    constructor(...given) {
      super(...(given.length ? given : [now]));
    }

    static now() {
      return now;
    }
  };
}
