import {
  type Options,
  type RouteDefinition,
  type Serializer,
  SerializerSelector,
} from '@fastify/fast-json-stringify-compiler';

/**
 * Fastify's compiler of response schemas, which compiles a schema once although many routes and statuses share it: every
 * refusal is the same problem document. Without this most of the time of a start goes into compiling it hundreds of times.
 */
export function serializers() {
  const build = SerializerSelector();
  return (externalSchemas?: unknown, options?: Options) => {
    const compile = build(externalSchemas, options);
    const compiled = new Map<string, Serializer>();
    return (route: RouteDefinition): Serializer => {
      const key = JSON.stringify(route.schema);
      const serializer = compiled.get(key) ?? compile(route);
      compiled.set(key, serializer);
      return serializer;
    };
  };
}
