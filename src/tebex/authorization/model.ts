import { type Static, Type } from '@sinclair/typebox';
import { BasketAnswer } from '../../baskets/index.ts';
import { Nullable, Shared, strict } from '../../http/schema.ts';

const Name = Type.String({ minLength: 1, maxLength: 200 });

export const AuthorizeBody = Type.Object(
  {
    username: Name,
    usernameId: Name,
    state: Type.Optional(
      Type.String({ maxLength: 4096, description: 'What the sign-in page was called with, as it stood there' }),
    ),
  },
  strict,
);
export type AuthorizeRequest = Static<typeof AuthorizeBody>;

export const AuthorizedAnswer = Type.Object({
  basket: Shared(BasketAnswer),
  returnUrl: Type.Unsafe<string | null>({
    ...Nullable(Type.String()),
    description: 'Where the customer wants to go on; null without `state`',
  }),
});
