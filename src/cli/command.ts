import { type ParseArgsConfig, parseArgs } from 'node:util';

/** One of the commands of `npx basketlink`. */
export type Command = {
  /** What `npx basketlink <command> --help` prints: how it is called, what it does, what it reads, its exit codes. */
  usage: string;
  /**
   * Runs with what was written after its name and gives the exit code: 0, or 1 when something is to be looked at. Throws
   * UsageError for what cannot be meant.
   */
  run(args: readonly string[], environment: NodeJS.ProcessEnv, print: Print): Promise<number>;
};

/** Prints a line for who has called the command. */
export type Print = (line: string) => void;

/** The command was called in a way that cannot be meant: exit code 2. The message says what is wrong, all of it. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;
type Parsed<Given extends Options> = ReturnType<typeof parseArgs<{ options: Given; allowPositionals: true }>>;

/**
 * Reads what was written after a command's name: its options, and one argument for each of `names`. Throws UsageError
 * for an option that is unknown or lacks its value, and for too few or too many arguments.
 */
export function readArguments<const Given extends Options>(
  args: readonly string[],
  options: Given,
  names: readonly string[] = [],
): Parsed<Given> {
  const parsed = parse(args, options);
  const missing = names.slice(parsed.positionals.length).map((name) => `<${name}> is missing`);
  const unexpected = parsed.positionals.slice(names.length).map((word) => `what is "${word}"?`);
  const [problem] = [...missing, ...unexpected];
  if (problem !== undefined) throw new UsageError([...missing, ...unexpected].join('\n'));
  return parsed;
}

function parse<const Given extends Options>(args: readonly string[], options: Given): Parsed<Given> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const isWrong = error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
    // Behind the first sentence it explains how to write an argument that begins with a dash.
    throw isWrong ? new UsageError(error.message.replace(/\. .*/s, '')) : error;
  }
}
