import { environmentSchema } from '../../src/config.ts';

/** Those of the names of variables that the service does not read, itself or as the path of a file. */
export function unknownVariables(names: string[]): string[] {
  return names.filter((name) => !Object.hasOwn(environmentSchema.properties, name.replace(/_FILE$/, '')));
}
