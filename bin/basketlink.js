#!/usr/bin/env node
import { existsSync } from 'node:fs';

// Not built, so that it is always there: npx links it once, and where it was missing then does not look again.
const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('Build it first: npm run build\n');
  process.exitCode = 1;
}
