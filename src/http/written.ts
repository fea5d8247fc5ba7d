import AjvCompiler from '@fastify/ajv-compiler';
import type { Static, TSchema } from '@sinclair/typebox';
import type { Refusal } from '../errors.ts';
import { strictly } from './compilers.ts';
import { schemaRefusal } from './problems.ts';

/**
 * Makes a check of what comes by another way than a request: as the body of one is checked by this schema, and completed
 * with its defaults. Refusal: `invalid_request`.
 */
export function checkWritten<T extends TSchema>(schema: T): (written: unknown) => Static<T> | Refusal {
  const validate = AjvCompiler()({}, { customOptions: strictly })({ schema, method: '', url: '' });
  const fits = (written: unknown): written is Static<T> => validate(written) === true;
  return (written) => (fits(written) ? written : schemaRefusal(validate.errors?.[0], 'body'));
}
