import { problems, type Refusal, refuse } from '../errors.ts';
import { problemBody } from '../http/problems.ts';

/** What we call the fields that Tebex has other names for, by JSON pointer. */
const tebexNames: Record<string, string> = {
  '/successRedirectUrl': 'complete_url',
  '/cancelRedirectUrl': 'cancel_url',
  '/customer/email': 'email',
  '/customer/username': 'username',
  '/ipAddress': 'ip_address',
  '/quantity': 'quantity',
  '/variables': 'variable_data',
};

/** The refusal for an ident that names nothing here. Clients compare the text, and forget their basket. */
export function basketNotFound(): Refusal {
  return refuse('basket_not_found', { detail: 'Basket not found' });
}

/** A refusal that names its first parameter, by JSON pointer, as the caller has written it; any other as it is. */
export function inWordsOf(names: Record<string, string>, refusal: Refusal): Refusal {
  const errors: unknown = refusal.extensions?.errors;
  const [first]: unknown[] = Array.isArray(errors) ? errors : [];
  if (typeof first !== 'object' || first === null || !('pointer' in first) || !('detail' in first)) return refusal;
  const pointer = String(first.pointer);
  const ours = Object.keys(names).find((known) => pointer === known || pointer.startsWith(`${known}/`));
  if (ours === undefined) return refusal;
  const name = names[ours] + pointer.slice(ours.length);
  const extensions = { ...refusal.extensions, errors: [{ ...first, pointer: `/${name}` }] };
  return { ...refusal, detail: `Parameter '${name}' ${first.detail}.`, extensions };
}

const unauthorizedDetail =
  'Send `Authorization: Basic` with the public token and an API key of this shop; what anybody may do needs none.';

/** A refusal as clients of Tebex know it: a basket that has ended unpaid is not found, and credentials are Basic. */
function asTebexSaysIt(refusal: Refusal): Refusal {
  const hasEnded = refusal.refused === 'basket_not_live' && refusal.extensions?.basketStatus !== 'completed';
  if (hasEnded) return basketNotFound();
  return refusal.refused === 'unauthorized'
    ? { ...refusal, detail: unauthorizedDetail }
    : inWordsOf(tebexNames, refusal);
}

/**
 * The body of a refusal in Tebex' form: RFC 9457 with `error_code`, and the lists that its .NET clients read. What does
 * not fit the schema is 422 there.
 */
export function tebexProblem(refusal: Refusal, publicUrl: string, requestId: string) {
  const said = asTebexSaysIt(refusal);
  const status = said.status ?? problems[said.refused].status;
  const body = problemBody({ ...said, status: status === 400 ? 422 : status }, publicUrl, requestId);
  return { ...body, error_code: said.refused, field_details: [], meta: [] };
}
