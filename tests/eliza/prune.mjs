// Leaves in package-lock.json only what the oracles run: of each Eliza package's dependencies those named under `keep`.
import { readFileSync, writeFileSync } from 'node:fs';

const here = (name) => new URL(name, import.meta.url);
const { keep } = JSON.parse(readFileSync(here('package.json'), 'utf8'));
const lock = JSON.parse(readFileSync(here('package-lock.json'), 'utf8'));
const entries = lock.packages;

for (const entry of Object.values(entries)) {
  delete entry.optionalDependencies;
  delete entry.peerDependencies;
  delete entry.peerDependenciesMeta;
}
for (const [name, kept] of Object.entries(keep)) {
  const declared = entries[`node_modules/${name}`].dependencies;
  entries[`node_modules/${name}`].dependencies = Object.fromEntries(
    Object.entries(declared).filter(([dependency]) => kept.includes(dependency)),
  );
}

const reached = new Set(['']);
for (const from of reached) {
  for (const name of Object.keys(entries[from].dependencies ?? {})) reached.add(found(name, from));
}
lock.packages = Object.fromEntries(Object.entries(entries).filter(([path]) => reached.has(path)));
writeFileSync(here('package-lock.json'), JSON.stringify(lock, null, 2) + '\n');

// Where Node finds `name` when the package at `from` imports it: its own node_modules, else one further up.
function found(name, from) {
  for (let at = from; ; at = at.slice(0, Math.max(at.lastIndexOf('/node_modules/'), 0))) {
    const path = `${at && `${at}/`}node_modules/${name}`;
    if (path in entries) return path;
    if (at === '') throw new Error(`${name}, which ${from} needs, is not in the lock`);
  }
}
