import type { Static } from '@sinclair/typebox';
import { type TObject, type TSchema, type TUnsafe, Type } from '@sinclair/typebox';

/** An object without further properties: bodies and query strings are strict everywhere. */
export const strict = { additionalProperties: false } as const;

/** An id as shops and partners give them. */
export const Id = Type.String({ pattern: '^[A-Za-z0-9_.:-]{1,128}$', description: 'Given by the shop or partner.' });

/** A moment in UTC with milliseconds. Input may have any ISO 8601 offset. */
export const Time = Type.String({
  format: 'date-time',
  // Of what the format allows: nothing that Date or Postgres does not know (year 0, leap seconds, offsets from 15 hours).
  pattern: '^(?!0000)\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-](0\\d|1[0-4]):\\d\\d)$',
});

/** The schema or null, written so that a failed check names the type instead of a union. */
export function Nullable<T extends TSchema>(schema: T): TUnsafe<Static<T> | null> {
  if ('enum' in schema && Array.isArray(schema.enum)) {
    return Type.Unsafe<Static<T> | null>({
      ...schema,
      type: [schema.type, 'null'],
      enum: [...schema.enum, null],
    });
  }
  return Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] });
}

/** One of a few words. */
export function OneOf<const T extends string[]>(...words: T): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({ type: 'string', enum: words });
}

/** The problem document of RFC 9457 that every refusal is. */
export const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String(),
    requestId: Type.String(),
  },
  { $id: 'Problem', additionalProperties: true, description: 'What went wrong and what to do next.' },
);

/** Refers to a schema that was added to the app under its `$id`. */
export function Shared<T extends TSchema>(schema: T): TUnsafe<Static<T>> {
  return Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` });
}

/** Documents the problems that a route can answer, by status. */
export function problemResponses<const S extends number>(...statuses: S[]): Record<S, TSchema> {
  const content = { description: 'Refused', content: { 'application/problem+json': { schema: Shared(Problem) } } };
  return Object.fromEntries(statuses.map((status) => [status, content])) as unknown as Record<S, TSchema>;
}

/** The query parameters of a list. */
export const pageParameters = {
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  cursor: Type.Optional(Type.String({ maxLength: 2000, description: '`nextCursor` of the page before' })),
};

/**
 * The body of a merge patch (RFC 7396) of what a schema describes: any of its properties, null taking one back to its
 * default. What the patch leaves is checked against the schema itself.
 */
export function mergePatchOf(schema: TObject): TUnsafe<Record<string, unknown>> {
  const names = Object.keys(schema.properties);
  return Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    description: 'A JSON merge patch (RFC 7396): null takes a property back to its default.',
    properties: Object.fromEntries(names.map((name) => [name, {}])),
    ...strict,
  });
}
