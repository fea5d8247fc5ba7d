import { callCommand } from './commands.ts';

// Whoever has stopped reading, such as `head`, wants what was asked for to be done all the same.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await callCommand(
  process.argv.slice(2),
  process.env,
  (text) => void process.stdout.write(text),
  (text) => void process.stderr.write(text),
);
