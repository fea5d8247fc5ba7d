import t from 'tap';
import { browserTests } from '../support/browser.ts';
import { startTestService } from '../support/service.ts';

const browserTest = browserTests(t);

browserTest(
  'the page about the API shows its calls and fields, and asks nobody but the service',
  async (t, context) => {
    const { url } = await startTestService(t);
    const page = await context.newPage();
    const requested: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => requested.push(request.url()));
    // What the policy refuses is told here as well.
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));

    const answer = await page.goto(`${url}/docs`, { waitUntil: 'networkidle' });
    t.match(answer?.headers()['content-security-policy'], /^default-src 'none'; script-src 'self';/);
    await page.getByRole('button', { name: 'POST /v1/baskets Create a basket and hold its stock' }).click();
    await page.getByText('Any text of your own, new for each call').waitFor();
    await page.getByRole('button', { name: 'Try it out' }).click();
    await page.getByRole('button', { name: 'Execute' }).click();
    await page.getByText('"code": "unauthorized"').first().waitFor();

    t.same(
      requested.filter((address) => !address.startsWith(`${url}/`) && !address.startsWith('data:')),
      [],
    );
    t.same(
      complaints.filter((complaint) => !/status of 401/.test(complaint)),
      [],
    );
  },
  { viewport: { width: 1200, height: 900 } },
);
