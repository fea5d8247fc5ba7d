import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { problems } from '../../src/errors.ts';
import { contentSecurityPolicy, html, isolated, page, problemDocumentationPage } from '../../src/http/pages.ts';

/** Ordinary text mixed with what ends elements, attributes and entities. */
const hostileText = fc.string({
  unit: fc.constantFrom(
    '<',
    '>',
    '"',
    "'",
    '&',
    '`',
    '=',
    '/',
    '-',
    '!',
    '\u202e',
    '\u2066',
    'a',
    ' ',
    '<script>',
    '-->',
    '</title>',
  ),
});

function tags(document: string): string[] {
  return document.match(/<[^>]*>/g) ?? [];
}

function unescaped(text: string): string {
  const entities: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };
  return text.replace(/&[a-z0-9#]+;/g, (entity) => entities[entity] ?? 'unknown entity');
}

function render(body: ReturnType<typeof html>): string {
  const document = page({ lang: 'en', title: 'Title', body });
  return document.slice(document.indexOf('<main>\n') + '<main>\n'.length, document.indexOf('\n</main>'));
}

t.test('interpolated text adds, closes and changes no markup, and reads as it was written', async (t) => {
  const readsAsWritten = fc.property(hostileText, (text) => {
    const body = render(html`<a title="${text}">${text}</a>`);
    const [, attribute = '', content = ''] = /^<a title="([^"<>]*)">([^<>]*)<\/a>$/.exec(body) ?? [];
    return unescaped(attribute) === text && unescaped(content) === text;
  });
  t.doesNotThrow(() => fc.assert(readsAsWritten));
});

t.test('markup passes through unescaped, alone, in lists and nested, and null leaves nothing', async (t) => {
  const items = ['<1>', '<2>'].map((name) => html`<li>${name}</li>`);
  t.equal(
    render(html`<ul>${items}</ul>${null}${html`<p>${3}</p>`}`),
    '<ul><li>&lt;1&gt;</li><li>&lt;2&gt;</li></ul><p>3</p>',
  );
});

t.test('text from outside is fenced off from the direction of the text around it', async (t) => {
  t.equal(render(isolated('\u202e<b>')), '<bdi>\u202e&lt;b&gt;</bdi>');
});

t.test('no title and no language can break out of the head, or turn the title of the browser round', async (t) => {
  const body = html`<h1>Heading</h1>`;
  const expected = tags(page({ lang: 'en', title: 'Title', body }))
    .slice(2)
    .join();
  const staysInside = fc.property(hostileText, hostileText, (title, lang) => {
    const document = page({ lang, title, body });
    const shown = /<title>(.*)<\/title>/.exec(document)?.[1] ?? '\u202e';
    return !/[\u202a-\u202e\u2066-\u2069]/.test(shown) && tags(document).slice(2).join() === expected;
  });
  t.doesNotThrow(() => fc.assert(staysInside));
});

t.test('the policy allows exactly the stylesheet that the page carries', async (t) => {
  const document = page({ lang: 'en', title: 'Title', body: html`<h1>Heading</h1>` });
  const styles = [...document.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, css = '']) => css);
  const sources = styles.map((css) => `'sha256-${createHash('sha256').update(css).digest('base64')}'`);
  t.equal(sources.length, 1);
  t.strictSame(contentSecurityPolicy({ formActionOrigins: [] }).split('; '), [
    "default-src 'none'",
    `style-src ${sources[0]}`,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "img-src 'none'",
  ]);
  t.notMatch(document, / style=/, 'a style attribute would need another hash');
});

t.test('the policy names each origin that the form may lead to once, in an order of its own', async (t) => {
  const policy = contentSecurityPolicy({
    formActionOrigins: ['https://b.example', 'http://127.0.0.1:3000', 'https://b.example'],
  });
  t.match(policy, "; form-action 'self' http://127.0.0.1:3000 https://b.example; ");
  t.equal(
    contentSecurityPolicy({ formActionOrigins: ['http://127.0.0.1:3000', 'https://b.example'] }),
    policy,
    'the same set gives the same header',
  );
});

t.test('an origin cannot add a directive or a source to the policy', async (t) => {
  const { origin } = new URL('https://shop;sandbox,x.example');
  t.match(origin, ';', 'a URL may carry what ends a directive');
  t.equal(
    contentSecurityPolicy({ formActionOrigins: [origin, 'https://*', 'https: http:', 'null', "'unsafe-inline'"] }),
    contentSecurityPolicy({ formActionOrigins: [] }),
  );
});

t.test('every problem code has a page that names its code, statuses and words, and loads nothing', async (t) => {
  for (const [code, row] of Object.entries(problems)) {
    const { status, title, text } = row;
    const statuses = 'alsoStatus' in row ? [status, ...row.alsoStatus] : [status];
    const document = problemDocumentationPage({ code, ...row });
    const words = unescaped(document.slice(document.indexOf('<main>')).replace(/<[^>]*>/g, ''));
    t.match(words, `HTTP ${statuses.join(' or ')} · ${code}`);
    t.ok(words.includes(title) && words.includes(text.replaceAll('`', '')), `${code} is explained`);
    t.match(document, '<html lang="en">');
    t.equal(tags(document).filter((tag) => tag === '<h1>').length, 1);
    t.notMatch(document, /<script|<link|<img|<iframe|<form|src=|href=|url\(|@import|\son\w+=/i);
  }
});

t.test('a name between backticks in a problem text is shown as code, and escaped', async (t) => {
  const document = problemDocumentationPage({ code: 'x', status: 400, title: 'X', text: 'See `a<b`.' });
  t.match(document, '<p>See <code>a&lt;b</code>.</p>');
});
