import t from 'tap';
import { callCommand } from '../../src/cli/commands.ts';

async function call(...args: string[]) {
  const said = { out: '', err: '' };
  const code = await callCommand(
    args,
    {},
    (text) => {
      said.out += text;
    },
    (text) => {
      said.err += text;
    },
  );
  return { ...said, code };
}

t.test('what cannot be meant exits with 2, names what is wrong and shows how it is meant', async (t) => {
  const wrong: [string[], RegExp][] = [
    [[], /^npx basketlink <command>/],
    [['tokens'], /^There is no command "tokens"\.\n\nnpx basketlink <command>/],
    [['reconcile', '--chekc'], /^Unknown option '--chekc'\n\nnpx basketlink reconcile/],
    [['reconcile', 'all', 'now'], /^what is "all"\?\nwhat is "now"\?\n\nnpx basketlink reconcile/],
    [['token', '--shop'], /^Option '--shop <value>' argument missing\n\nnpx basketlink token/],
    [['prune'], /^--older-than-days is not a number from 31 .*\n\nnpx basketlink prune/],
  ];
  for (const [args, shown] of wrong) {
    const { out, err, code } = await call(...args);
    t.match({ out, err, code }, { out: '', err: shown, code: 2 }, args.join(' '));
  }
});

t.test('each command says with --help how it is called, what it reads and how it exits', async (t) => {
  const { out, code } = await call('--help');
  t.equal(code, 0);
  const names = [...out.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name = '']) => name);
  t.ok(names.length >= 8);
  for (const name of names) {
    const help = await call(name, '-h');
    t.match(help, { code: 0, err: '', out: new RegExp(`^npx basketlink ${name}\\b`) });
    t.match(help.out, /^Reads /m);
    t.match(help.out, /Exit codes: 0 /);
  }
});

t.test('what is missing of the configuration is named, and exits with 1', async (t) => {
  t.match(await call('reconcile'), { out: '', err: /DATABASE_URL is missing.*\n.*REDIS_URL is missing/, code: 1 });
});
