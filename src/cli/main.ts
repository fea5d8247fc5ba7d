import { callCommand } from './commands.ts';

process.exitCode = await callCommand(
  process.argv.slice(2),
  process.env,
  (text) => void process.stdout.write(text),
  (text) => void process.stderr.write(text),
);
