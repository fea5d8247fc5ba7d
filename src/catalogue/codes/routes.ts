import { type Static, Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { shopCaller } from '../../http/access.ts';
import type { Api } from '../../http/api.ts';
import { sendProblem } from '../../http/problems.ts';
import { Id, problemResponses, Shared } from '../../http/schema.ts';
import type { CatalogueDeps } from '../changes.ts';
import { deleteCode, putCode } from './changes.ts';
import { type CodeType, type CodeWithTerms, codeKinds, stockIdOfCode } from './model.ts';
import { readCodes } from './store.ts';

const codeParams = Type.Object({ code: Id });

/** `PUT`, `GET` and `DELETE` of `/v1/discount-codes/{code}`, `/v1/access-codes/{code}` and `/v1/creator-codes/{code}`. */
export function codeRoutes(app: Api, deps: Pick<CatalogueDeps, 'pool' | 'stock'>): void {
  const { pool, stock } = deps;
  const access = { scopes: ['shop:write'] } as const;
  const refusals = problemResponses(400, 401, 403, 404, 409, 422);

  async function answerOf(shopId: string, type: CodeType, code: string): Promise<object | Refusal> {
    const [found] = await readCodes(pool, shopId, [{ type, code }]);
    if (!found) return refuse('not_found');
    const stockId = stockIdOfCode(found);
    const counted = stockId === null ? null : (await stock.availability(pool, shopId, [stockId])).get(stockId);
    return {
      code: found.code,
      ...found.terms,
      ...(counted ? { availability: counted } : {}),
      createdAt: found.createdAt.toISOString(),
      updatedAt: found.updatedAt.toISOString(),
    };
  }

  for (const { type, path, name, Body, Answer } of codeKinds) {
    app.addSchema(Answer);
    const inWords = `${type === 'access' ? 'an' : 'a'} ${type} code`;
    const exists = async (request: FastifyRequest) => {
      const { code } = request.params as Static<typeof codeParams>;
      return !isRefusal(await answerOf(shopCaller(request).shopId, type, code));
    };
    const schema = { tags: ['Codes'], params: codeParams, response: { 200: Shared(Answer), ...refusals } };
    app.put(
      path,
      {
        config: { access },
        schema: { ...schema, summary: `Create or replace ${inWords}`, operationId: `put${name}`, body: Body },
      },
      async (request, reply) => {
        const { shopId } = shopCaller(request);
        const { code } = request.params;
        // The schema of the route is that of the type's terms.
        const refusal = await putCode(deps, shopId, { type, code, terms: request.body } as CodeWithTerms);
        const answer = refusal ?? (await answerOf(shopId, type, code));
        return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
      },
    );
    app.get(
      path,
      { config: { access, exists }, schema: { ...schema, summary: `Read ${inWords}`, operationId: `get${name}` } },
      async (request, reply) => {
        const answer = await answerOf(shopCaller(request).shopId, type, request.params.code);
        return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
      },
    );
    app.delete(
      path,
      {
        config: { access, exists },
        schema: {
          ...schema,
          summary: `Delete ${inWords}; baskets that have it keep it`,
          operationId: `delete${name}`,
          response: { 204: Type.Null(), ...refusals },
        },
      },
      async (request, reply) => {
        const refusal = await deleteCode(deps, shopCaller(request).shopId, type, request.params.code);
        return refusal ? sendProblem(reply, refusal) : reply.code(204).send(null);
      },
    );
  }
}
