// Says what each era's own validator thinks: {era, character} -> {ok, errors, parsed}.
import { serve } from './lines.mjs';

// Each package is loaded when its era is first asked for.
const ERAS = {
  'v0.1.6': async (character) => classic(await import('eliza-v016'), character),
  'v0.25.9': async (character) => classic(await import('eliza-v0259'), character),
  'v1.7.2': async (character) => judged((await import('@elizaos/core')).validateCharacter(character)),
  v2: async (character) => loaded(await import('eliza-v2/browser'), character),
  'v2-strict': async (character) => judged((await import('eliza-v2/browser')).validateCharacter(character)),
};

await serve(({ era, character }) => {
  if (!(era in ERAS)) throw new Error(`unknown era '${era}': one of ${Object.keys(ERAS).join(', ')}`);
  return ERAS[era](character);
});

// validateCharacterConfig says only yes or no (0.25.9 logs the paths), so the paths come from the schema it uses.
function classic({ CharacterSchema, validateCharacterConfig }, character) {
  const result = judged(CharacterSchema.safeParse(character));
  let accepted = true;
  try {
    validateCharacterConfig(character);
  } catch {
    accepted = false;
  }
  if (accepted !== result.ok) throw new Error('validateCharacterConfig and CharacterSchema disagree');
  return result;
}

// The two steps of v2's parseCharacter, which throws one sentence: make a v2 character of what is known, validate that.
function loaded({ normalizeCharacterInput, validateCharacter }, character) {
  let normalized;
  try {
    normalized = normalizeCharacterInput(character);
  } catch (error) {
    return { ok: false, errors: [`(top): ${error.message}`] };
  }
  return judged(validateCharacter(normalized));
}

function judged({ success, error, data }) {
  const errors = (error?.issues ?? []).map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`);
  return { ok: success, errors, parsed: data };
}
