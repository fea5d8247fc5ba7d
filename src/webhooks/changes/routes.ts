import { Type } from '@sinclair/typebox';
import type pg from 'pg';
import { isRefusal, type Refusal } from '../../errors.ts';
import { shopCaller } from '../../http/access.ts';
import type { Api } from '../../http/api.ts';
import { makeCursor, readCursor } from '../../http/cursor.ts';
import { schemaRefusal, sendProblem } from '../../http/problems.ts';
import { OneOf, pageParameters, problemResponses, strict, Time } from '../../http/schema.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { bodyOf, type RenderBasket } from '../delivery/message.ts';
import { sentTypes } from '../model.ts';
import { pack, unpack } from '../snapshots.ts';
import { beginning, type Position, readChanges, readEpoch } from './store.ts';

const changeTypes: string[] = [...sentTypes, 'webhook.disabled'];
const ofBaskets = changeTypes.filter((type) => type.startsWith('basket.'));
const ofOthers = changeTypes.filter((type) => !ofBaskets.includes(type));

// All of their properties are required: what is optional would be written behind the others, and not as webhooks have it.
const BasketChange = Type.Object({
  type: OneOf(...ofBaskets),
  timestamp: Time,
  epoch: Type.Integer({ description: 'Raised when the service comes back from a backup' }),
  sequence: Type.Integer({ description: 'Counts the changes of the basket from 1, without gaps' }),
  data: Type.Object({}, { additionalProperties: true, description: 'The `basket` as it was then' }),
});
const OtherChange = Type.Object({
  type: OneOf(...ofOthers),
  timestamp: Time,
  data: Type.Object({}, { additionalProperties: true, description: 'The `event` or the `webhook`' }),
});

/** `GET /v1/changes`. */
export function changeRoutes(
  app: Api,
  { pool, cursorKeys, renderBasket }: { pool: pg.Pool; cursorKeys: Keyring; renderBasket: RenderBasket },
): void {
  app.get(
    '/v1/changes',
    {
      config: { access: { scopes: ['webhooks:write'] } },
      schema: {
        tags: ['Webhooks'],
        summary: 'Read what has changed in the last 30 days, in the order of commits',
        operationId: 'listChanges',
        querystring: Type.Object(
          {
            after: Type.Optional(Type.String({ maxLength: 4000, description: '`nextAfter` of the answer before' })),
            types: Type.Optional(
              Type.String({ maxLength: 1000, description: 'Some types, separated by commas; without: all' }),
            ),
            limit: pageParameters.limit,
          },
          strict,
        ),
        response: {
          200: Type.Object({
            data: Type.Array(Type.Union([BasketChange, OtherChange])),
            nextAfter: Type.String({ description: 'Where to go on, also when there is nothing yet' }),
          }),
          ...problemResponses(400, 401, 403),
        },
      },
    },
    async (request, reply) => {
      const { shopId, partner } = shopCaller(request);
      const { after, limit } = request.query;
      const types = typesOf(request.query.types);
      if (isRefusal(types)) return sendProblem(reply, types);
      // Not of certain types: a place in the feed is one whoever looks at what.
      const epoch = await readEpoch(pool);
      // A place in what a restored backup has lost is none in what came instead. In the first epoch it is not said, as it
      // was not before there could be another.
      const list = ['changes', shopId, partner ?? '', ...(epoch === 1 ? [] : [String(epoch)])];
      const position = after === undefined ? [] : readCursor(cursorKeys, list, after);
      if (isRefusal(position)) return sendProblem(reply, position);
      const { changes, next } = await readChanges(pool, { shopId, partner, types }, placeOf(position), limit);
      return reply.send({
        data: changes.map((change) => bodyOf(change, renderBasket)),
        nextAfter: makeCursor(cursorKeys, list, textsOf(next)),
      });
    },
  );
}

/** Wakes the relay when a call has perhaps changed something. */
export function wakeAfterChanges(app: Api, wake: () => void): void {
  app.addHook('onResponse', async (request, reply) => {
    if (request.method !== 'GET' && reply.statusCode < 300) wake();
  });
}

function typesOf(text: string | undefined): readonly string[] | Refusal {
  const types = text?.split(',') ?? changeTypes;
  const unknown = types.find((type) => !changeTypes.includes(type));
  if (unknown === undefined) return types;
  const message = `must name types of changes, separated by commas: ${changeTypes.join(', ')}`;
  return schemaRefusal({ instancePath: '/types', params: {}, message }, 'querystring');
}

function textsOf({ seen, page }: Position): string[] {
  return page === null ? [pack(seen)] : [pack(seen), pack(page.snapshot), String(page.last)];
}

function placeOf([seen, snapshot, last]: string[]): Position {
  if (seen === undefined) return beginning;
  const page = snapshot === undefined ? null : { snapshot: unpack(snapshot), last: Number(last) };
  return { seen: unpack(seen), page };
}
