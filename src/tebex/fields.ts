import { isRefusal, type Refusal, refuse } from '../errors.ts';

/** What a client has sent, as JSON or in the query: Tebex' clients write the same value in several ways. */
export type Fields = Record<string, unknown>;

/** The fields of a body: those that are not known are ignored, as Tebex does. Refusal: `invalid_request`. */
export function fieldsOf(body: unknown): Fields | Refusal {
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  return isObject ? (body as Fields) : refuse('invalid_request', { detail: 'The body must be a JSON object.' });
}

/** Whether a client has left a field out: absent, null and empty are the same to them. */
export function isLeftOut(value: unknown): value is undefined | null | '' {
  return value === undefined || value === null || value === '';
}

/** A text, or null where it is left out. Refusal: `invalid_request`. */
export function textIn(fields: Fields, name: string): string | null | Refusal {
  const value = fields[name];
  if (isLeftOut(value)) return null;
  return typeof value === 'string' ? value : wrong(name, 'must be a string');
}

/** A boolean, which may come as 0 or 1 and as text; null where it is left out. Refusal: `invalid_request`. */
export function flagIn(fields: Fields, name: string): boolean | null | Refusal {
  const value = fields[name];
  if (isLeftOut(value)) return null;
  if (value === true || value === 1 || value === '1' || value === 'true') return true;
  if (value === false || value === 0 || value === '0' || value === 'false') return false;
  return wrong(name, 'must be a boolean');
}

/** A whole number from 0 to 2,147,483,647, which may come as text; null where it is left out. Refusal: `invalid_request`. */
export function numberIn(fields: Fields, name: string): number | null | Refusal {
  const value = fields[name];
  if (isLeftOut(value)) return null;
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  const isWhole = typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 2_147_483_647;
  return isWhole ? number : wrong(name, 'must be a whole number');
}

/** An object, empty where it is left out. Refusal: `invalid_request`. */
export function objectIn(fields: Fields, name: string): Fields | Refusal {
  const value = fields[name];
  // PHP writes an empty object as an empty list.
  if (isLeftOut(value) || (Array.isArray(value) && value.length === 0)) return {};
  const object = fieldsOf(value);
  return isRefusal(object) ? wrong(name, 'must be an object') : object;
}

/** The same value, or a refusal where it is left out: `invalid_request`. */
export function required<T>(name: string, value: T | null | Refusal): T | Refusal {
  return value === null ? wrong(name, 'is required') : value;
}

/** The refusal of a parameter: `invalid_request`, naming it. */
export function wrong(name: string, detail: string): Refusal {
  return refuse('invalid_request', {
    detail: `Parameter '${name}' ${detail}.`,
    extensions: { errors: [{ pointer: `/${name}`, detail }] },
  });
}
