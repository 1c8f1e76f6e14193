// Fills a template as an era does: {era: "v0.25.9" | "v1.7.2", template, state, engine?} -> {text}.
import { serve } from './lines.mjs';

const { composeContext } = await import('eliza-v0259');
const { composePromptFromState } = await import('@elizaos/core');

const ERAS = {
  'v0.25.9': ({ template, state, engine }) => composeContext({ template, state, templatingEngine: engine }),
  'v1.7.2': ({ template, state }) => composePromptFromState({ template, state }),
};

await serve((request) => {
  if (!(request.era in ERAS)) throw new Error(`unknown era '${request.era}': one of ${Object.keys(ERAS).join(', ')}`);
  return { text: ERAS[request.era](request) };
});
