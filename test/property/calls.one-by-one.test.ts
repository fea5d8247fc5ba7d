import fc from 'fast-check';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { callsAgreeWithModel, trials } from './commands.ts';
import { openUnsweptShop } from './service.ts';

const shop = await openUnsweptShop(t);

t.test('whatever calls come in whatever order, each is answered and does what the model says', async () => {
  await fc.assert(callsAgreeWithModel(shop), { ...trials, numRuns: 30 });
  await audit(shop.service.pool);
});
