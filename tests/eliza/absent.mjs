// Stands in for every package that the oracles leave uninstalled: it can be imported by any name, and does nothing else.
function absent() {
  throw new Error('the oracles run Eliza without this package: see keep in tests/eliza/package.json');
}

export {
  absent as default,
  absent as EmbeddingModel,
  absent as FlagEmbedding,
  absent as RecursiveCharacterTextSplitter,
  absent as bedrock,
  absent as createAnthropic,
  absent as createGoogleGenerativeAI,
  absent as createGroq,
  absent as createMistral,
  absent as createOllama,
  absent as createOpenAI,
  absent as createPublicClient,
  absent as encodingForModel,
  absent as fal,
  absent as generateObject,
  absent as generateText,
  absent as glob,
  absent as http,
};
