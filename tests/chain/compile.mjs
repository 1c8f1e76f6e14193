// Compiles App.sol with the compiler and the contracts installed in the folder given, and prints {name: creation code}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, source] = process.argv.slice(2);
const solc = createRequire(join(folder, "package.json"))("solc");
const input = {
  language: "Solidity",
  sources: { "App.sol": { content: readFileSync(source, "utf8") } },
  settings: { optimizer: { enabled: true }, outputSelection: { "App.sol": { "*": ["evm.bytecode.object"] } } },
};
const found = (path) => ({ contents: readFileSync(join(folder, "node_modules", path), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
const faults = (output.errors ?? []).map((error) => error.formattedMessage);
if (faults.length) {
  process.stderr.write(faults.join("\n"));
  process.exit(1);
}
const codes = Object.entries(output.contracts["App.sol"]).map(([name, made]) => [name, made.evm.bytecode.object]);
process.stdout.write(JSON.stringify(Object.fromEntries(codes)));
