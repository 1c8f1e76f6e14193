import { defaultCharacter, Clients, ModelProviderName } from "@elizaos/core";

export const character = {
  ...defaultCharacter,
  name: "Bollard",
  clients: [Clients.TELEGRAM],
  modelProvider: ModelProviderName.OPENAI,
};
