// Finds the installed packages for our scripts, and `absent.mjs` for what those packages import but nobody installed.
const OURS = new URL('.', import.meta.url).href;
let installed;

export function initialize(folder) {
  installed = folder;
}

export async function resolve(specifier, context, next) {
  const bare = !/^(node:|file:|data:|\.{0,2}\/)/.test(specifier);
  if (bare && context.parentURL?.startsWith(OURS)) return next(specifier, { ...context, parentURL: installed });
  try {
    return await next(specifier, context);
  } catch (error) {
    if (bare && error.code === 'ERR_MODULE_NOT_FOUND') return { url: `${OURS}absent.mjs`, shortCircuit: true };
    throw error;
  }
}
