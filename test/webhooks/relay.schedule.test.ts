import t from 'tap';
import { waitMs } from '../../src/webhooks/relay/schedule.ts';

const hourMs = 3_600_000;

t.test('a change waits before each of ten tries as the schedule says, and up to a tenth longer', async (t) => {
  const schedule = [0, 5000, 300_000, ...[0.5, 2, 5, 10, 14, 20, 24].map((hours) => hours * hourMs)];
  t.strictSame(
    schedule.map((_, made) => waitMs(made, null, 0)),
    schedule,
  );
  t.strictSame(
    schedule.map((_, made) => waitMs(made, null, 1)),
    schedule.map((wait) => Math.round(wait * 1.1)),
  );
  t.equal(waitMs(10, null, 0), null, 'there is no eleventh');
  t.equal(waitMs(10, 60, 0), null, 'not for the asking either');
});

t.test('a receiver may ask for a longer wait, of 24 hours at most, and for no shorter one', async (t) => {
  t.equal(waitMs(1, 60, 0), 60_000);
  t.equal(waitMs(2, 60, 0), 300_000);
  t.equal(waitMs(1, 1e9, 0), 24 * hourMs);
  t.equal(waitMs(1, 0, 0), 5000);
});
