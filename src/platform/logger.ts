import { type Logger, pino } from 'pino';

/**
 * The process's logger: JSON lines with only what callers of it name. Requests are logged by `http/` with their route
 * pattern; errors are cut down to type, code and stack, since drivers put parameters and URLs into their other members.
 */
export function openLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: {
      err: (error: Error & { code?: unknown }) => ({
        type: error.name,
        code: error.code,
        message: error.message,
        stack: error.stack,
      }),
    },
  });
}
