import Module, { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

// A service that is started with this cannot load OpenTelemetry, neither by import nor by require, but for its interface,
// which prom-client brings.
function refuse(specifier) {
  if (/^@opentelemetry\/(?!api$)/.test(specifier)) throw new Error(`${specifier} is loaded`);
}

export async function resolve(specifier, context, nextResolve) {
  refuse(specifier);
  return nextResolve(specifier, context);
}

if (isMainThread) {
  register(import.meta.url);
  const resolveFilename = Module._resolveFilename;
  Module._resolveFilename = (specifier, ...rest) => {
    refuse(specifier);
    return resolveFilename(specifier, ...rest);
  };
}
