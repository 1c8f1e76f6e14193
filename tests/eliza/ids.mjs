// Makes ids as each era does: {text} -> {"v0.1.6", "v0.25.9", "v1.7.2"}, and with `agent_id` also {unique}.
import { serve } from './lines.mjs';

const first = await import('eliza-v016');
const last = await import('eliza-v0259');
const { createUniqueUuid, stringToUuid } = await import('@elizaos/core');

await serve(({ text, agent_id: agentId }) => ({
  'v0.1.6': first.stringToUuid(text),
  'v0.25.9': last.stringToUuid(text),
  'v1.7.2': stringToUuid(text),
  unique: agentId && createUniqueUuid({ agentId }, text),
}));
