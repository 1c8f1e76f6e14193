// Runs a provider of plugin-bootstrap 1.7.2 on a runtime that knows only what the request says: {provider, character,
// room_type?, message?, messages?, entities?, actions?, providers?} -> {text, values, data}.
import { serve } from './lines.mjs';

const { stringToUuid } = await import('@elizaos/core');
const { bootstrapPlugin } = await import('@elizaos/plugin-bootstrap');

const PROVIDERS = Object.fromEntries(bootstrapPlugin.providers.map((provider) => [provider.name, provider]));
const ROOM = '00000000-0000-4000-8000-000000000001';
const USER = '00000000-0000-4000-8000-000000000002';

await serve((request) => {
  const provider = PROVIDERS[request.provider];
  if (!provider) throw new Error(`unknown provider '${request.provider}': one of ${Object.keys(PROVIDERS).join(', ')}`);
  const message = { roomId: ROOM, entityId: USER, content: {}, ...request.message };
  return provider.get(runtime(request), message, { values: {}, data: {}, text: '' });
});

function runtime({ character, room_type: type, messages = [], entities = [], actions = [], providers = [] }) {
  return {
    agentId: character.id ?? stringToUuid(character.name),
    character,
    actions: actions.map((action) => ({ validate: () => true, ...action })),
    providers,
    getConversationLength: () => 32,
    getRoom: () => ({ id: ROOM, type }),
    getMemories: () => [...messages].reverse(), // a database gives the newest first
    getMemoriesByRoomIds: () => [],
    getRoomsForParticipants: () => [],
    getEntitiesForRoom: () => entities,
    getEntityById: (id) => entities.find((entity) => entity.id === id) ?? null,
  };
}
