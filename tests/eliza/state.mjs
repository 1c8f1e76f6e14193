// Composes the flat state of a v0 runtime (0.25.9) over a database that knows only what the request says: {character,
// message?, messages?, actors?, actions?, providers?, knowledge?} -> {state}.
import { serve } from './lines.mjs';

const { AgentRuntime, stringToUuid } = await import('eliza-v0259');

const ROOM = '00000000-0000-4000-8000-000000000001';
const USER = '00000000-0000-4000-8000-000000000002';

await serve(async ({ character, message, actions = [], providers = [], ...known }) => {
  const agentId = character.id ?? stringToUuid(character.name);
  const runtime = new AgentRuntime({
    character,
    databaseAdapter: database(agentId, known),
    actions: actions.map((action) => ({ validate: () => true, examples: [], similes: [], ...action })),
    providers: providers.map((text) => ({ get: () => text })),
  });
  return { state: await runtime.composeState({ roomId: ROOM, userId: USER, content: {}, ...message }) };
});

function database(agentId, { messages = [], actors = [], knowledge = [] }) {
  return {
    getParticipantsForRoom: () => actors.map(({ id }) => id),
    getAccountById: (id) => actors.find((actor) => actor.id === id) ?? null,
    getMemories: () => [...messages].reverse(), // a database gives the newest first
    getGoals: () => [],
    getRoomsForParticipants: () => [],
    getMemoriesByRoomIds: () => [],
    // Every question counts as embedded before, and all knowledge answers it: nothing asks an embedding model.
    getCachedEmbeddings: () => [{ embedding: [1], levenshtein_score: 0 }],
    searchMemories: () => knowledge.map((text, index) => ({ content: { text, source: String(index) } })),
    getMemoryById: (id) => ({ id, agentId, content: { text: knowledge[Number(id)] } }),
  };
}
