import { answerChange, basketExists, basketParams, basketRefusals } from '../../baskets/index.ts';
import type { Api } from '../../http/api.ts';
import { type AuthorizeDeps, authorizeBasket } from './authorize.ts';
import { AuthorizeBody, AuthorizedAnswer } from './model.ts';

/** `POST /v1/baskets/{id}/authorize`. */
export function authorizationRoutes(app: Api, deps: AuthorizeDeps): void {
  app.post(
    '/v1/baskets/:id/authorize',
    {
      config: { access: { scopes: ['baskets:write'] }, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Attribute a basket to a user who has signed in',
        operationId: 'authorizeBasket',
        params: basketParams,
        body: AuthorizeBody,
        response: { 200: AuthorizedAnswer, ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => authorizeBasket(deps, caller, basketId, conditions, request.body),
        (basket, { answer }) => ({ basket, returnUrl: answer.returnUrl }),
      ),
  );
}
