import fc from 'fast-check';
import t from 'tap';
import { continuePage, problemPage } from '../../src/links/page.ts';
import { textsFor } from '../../src/links/texts.ts';

type ContinueView = Parameters<typeof continuePage>[0];

const LOCALES = ['en', 'de', 'fr', 'nl', 'es'];
const CODES = Object.keys(textsFor('en').problems);

const basket: ContinueView = {
  shopName: 'Roxy',
  locale: 'en-GB',
  supportUrl: 'https://roxy.example/help',
  items: [
    { name: 'Stalls', quantity: 2 },
    { name: 'Balcony', quantity: 1 },
  ],
  events: [
    { name: 'First night', startsAt: new Date('2026-06-20T19:00:00Z') },
    { name: 'Any night', startsAt: null },
  ],
  heldUntil: new Date('2026-03-05T18:30:00Z'),
  soldOut: false,
  account: 'a…@b.example',
  total: '£75.00',
};
const waiting: ContinueView = { ...basket, events: [], heldUntil: null, account: null, total: null, supportUrl: null };
const problem = { code: 'generic', locale: 'en-GB', shopName: 'Roxy', supportUrl: null, requestId: 'req-1' };

function everyPage(): string[] {
  return LOCALES.flatMap((locale) => [
    continuePage({ ...basket, locale }),
    continuePage({ ...waiting, locale }),
    continuePage({ ...waiting, locale, soldOut: true }),
    continuePage({ ...basket, locale, items: [] }),
    ...CODES.map((code) => problemPage({ ...problem, locale, code, supportUrl: basket.supportUrl })),
    problemPage({ ...problem, locale, shopName: null }),
  ]);
}

function tags(document: string): string[] {
  return document.match(/<[^>]*>/g) ?? [];
}

function words(document: string): string {
  return document
    .slice(document.indexOf('<main>'))
    .replace(/<[^>]*>/g, '')
    .replace(/\s+/g, ' ');
}

t.test('no page holds a script, an event handler or anything that is loaded from elsewhere', async (t) => {
  for (const document of everyPage()) {
    t.notMatch(
      document,
      /<script|<link|<img|<iframe|<object|<embed|<base|\ssrc=|url\(|@import|javascript:|<[^>]*\son\w+=/i,
    );
    const addresses = [...document.matchAll(/<(\w+)[^>]*\shref="([^"]*)"/g)].map(([, element, href]) => [
      element,
      href,
    ]);
    t.ok(
      addresses.every(([element, href]) => element === 'a' && href === basket.supportUrl),
      'but for the support link',
    );
  }
});

t.test('every page has one h1, one main, a language, and is kept out of indexes', async (t) => {
  for (const document of everyPage()) {
    for (const tag of ['<h1>', '<main>', '<meta name="robots" content="noindex">', '<meta charset="utf-8">']) {
      t.equal(tags(document).filter((found) => found === tag).length, 1, tag);
    }
    t.match(document, /^<!doctype html>\n<html lang="(en|en-GB|de|fr|nl|es)">/);
  }
});

t.test('the way on is one form with one button that posts to the address of the page itself', async (t) => {
  for (const view of [basket, waiting, { ...basket, items: [] }]) {
    const interactive = tags(continuePage(view)).filter((tag) => /^<(form|button|input|select|textarea)/.test(tag));
    t.strictSame(interactive, ['<form method="post">', '<button type="submit">']);
  }
  t.notMatch(problemPage(problem), /<form|<button/, 'and a problem offers none');
});

t.test('no text from outside adds or changes an element of a page', async (t) => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom('<', '>', '"', "'", '&', '\u202e', '<script>alert(1)</script>', '</bdi>', '{shop}'),
    }),
  );
  const view = (text: string): ContinueView => ({
    ...basket,
    shopName: text,
    items: [{ name: text, quantity: 1 }],
    events: [{ name: text, startsAt: null }],
    account: text,
    total: text,
  });
  const tagsAround = (text: string) =>
    [
      ...tags(continuePage(view(text))),
      ...tags(problemPage({ ...problem, shopName: text, requestId: text, code: text })),
    ].join();
  const expected = tagsAround('harmless');
  t.doesNotThrow(() => fc.assert(fc.property(hostile, (text) => tagsAround(text) === expected)));
});

t.test('a right-to-left override in a name turns nothing round but that name', async (t) => {
  const name = 'Roxy\u202e';
  const document = continuePage({
    ...basket,
    shopName: name,
    items: [{ name, quantity: 1 }],
    events: [{ name, startsAt: null }],
    account: name,
    total: name,
  });
  t.equal(document.split(`<bdi>${name}</bdi>`).length - 1, 6);
  t.notMatch(document.replaceAll(`<bdi>${name}</bdi>`, ''), '\u202e', 'it stands nowhere but inside <bdi>');
});

t.test(
  'a support address that is no web or mail address is not linked, and quotes in one stay inside it',
  async (t) => {
    for (const supportUrl of [
      'javascript:alert(1)',
      'JavaScript:alert(1)',
      ' javascript:alert(1)',
      'data:text/html,x',
      '/help',
    ]) {
      t.notMatch(continuePage({ ...basket, supportUrl }), '<a ', supportUrl);
      t.notMatch(problemPage({ ...problem, supportUrl }), '<a ', supportUrl);
    }
    t.match(problemPage({ ...problem, supportUrl: 'mailto:help@roxy.example' }), 'href="mailto:help@roxy.example"');
    const quoted = problemPage({ ...problem, supportUrl: 'https://a.example/"onclick="x' });
    t.match(quoted, '<a href="https://a.example/&quot;onclick=&quot;x" rel="noreferrer">');
  },
);

t.test('the support link does not tell the support site the address of the basket', async (t) => {
  t.match(continuePage(basket), `<a href="${basket.supportUrl}" rel="noreferrer">`);
});

t.test(
  'in every language the page names the shop, each item, each event, the time, the account and the total',
  async (t) => {
    for (const locale of LOCALES) {
      const document = continuePage({ ...basket, locale });
      const shown = words(document);
      for (const value of ['Roxy', '2 × Stalls', '1 × Balcony', 'First night', 'Any night', 'a…@b.example', '£75.00']) {
        t.ok(shown.includes(value), `${locale}: ${value}`);
      }
      t.match(document, /<time datetime="2026-03-05T18:30:00\.000Z">[^<]*5[^<]*2026[^<]*30[^<]*UTC<\/time>/, locale);
      t.match(document, /<time datetime="2026-06-20T19:00:00\.000Z">[^<]*20[^<]*2026[^<]*00[^<]*UTC<\/time>/, locale);
    }
  },
);

t.test('in every language every text is there: nothing is empty, unfilled or left in English', async (t) => {
  for (const locale of LOCALES) {
    const texts = textsFor(locale);
    for (const code of CODES) {
      const shown = words(problemPage({ ...problem, locale, code }));
      t.match(shown, /Roxy .*\..* req-1/, `${locale} ${code}`);
    }
    for (const [code, text] of Object.entries(texts.problems)) {
      for (const sentence of Object.values(text)) {
        t.match(sentence, /^\S.{5,}\S$/, `${locale} ${code}`);
        const isEnglish = JSON.stringify(textsFor('en').problems).includes(JSON.stringify(sentence));
        t.equal(isEnglish, locale === 'en', `${locale} ${code}: ${sentence}`);
      }
    }
  }
  for (const document of everyPage()) {
    t.notMatch(words(document), /[{}]|undefined|null|\[object|NaN|Invalid/);
  }
});

t.test('each code of the click is explained in words of its own, and any other code in general ones', async (t) => {
  const explained = CODES.map((code) => words(problemPage({ ...problem, code })));
  t.equal(new Set(explained).size, CODES.length);
  for (const code of ['internal_error', '__proto__', 'constructor', 'toString', '']) {
    t.equal(problemPage({ ...problem, code }), problemPage({ ...problem, code: 'generic' }), code);
  }
});

t.test('a problem page for a link that proved nothing names no shop', async (t) => {
  const document = problemPage({ ...problem, code: 'link_invalid', shopName: null });
  const { heading } = textsFor(problem.locale).problems.link_invalid;
  t.match(document, `<title>${heading}</title>`);
  t.notMatch(document, 'Roxy');
});

t.test('a basket that waits for its activation does not claim that anything is held', async (t) => {
  const shown = words(continuePage(waiting));
  t.match(shown, textsFor(waiting.locale).notHeldYet);
  t.notMatch(shown, 'Held for you until');
});

t.test('what cannot be had now is called so in every language, with nothing to press', async (t) => {
  for (const locale of LOCALES) {
    const document = continuePage({ ...waiting, locale, soldOut: true });
    t.match(words(document), textsFor(locale).soldOut, locale);
    t.notMatch(document, /<form|<button/, locale);
    t.equal(textsFor(locale).soldOut === textsFor('en').soldOut, locale === 'en', locale);
  }
});

t.test('an empty basket is called empty, not held', async (t) => {
  const shown = words(continuePage({ ...basket, items: [] }));
  t.match(shown, textsFor(basket.locale).noItems);
  t.notMatch(shown, 'Held for you until');
});

t.test('without an account nobody is asked whether that is them', async (t) => {
  t.match(words(continuePage(basket)), textsFor(basket.locale).notYou);
  t.notMatch(words(continuePage({ ...basket, account: null })), textsFor(basket.locale).notYou);
});

t.test('a region keeps its language and its own way of writing dates', async (t) => {
  t.match(continuePage({ ...basket, locale: 'de-AT' }), '<html lang="de-AT">');
  t.match(words(continuePage({ ...basket, locale: 'de-AT' })), textsFor('de').keepToYourself);
  t.match(words(continuePage({ ...basket, locale: 'en-US' })), 'March 5, 2026');
  t.match(words(continuePage({ ...basket, locale: 'en-GB' })), '5 March 2026 at 18:30 UTC');
});

t.test(
  'a locale that is unknown, malformed or asks for other digits never keeps the page from being shown',
  async (t) => {
    for (const locale of ['ja-JP', 'und', 'x', '', 'en_GB', 'constructor', '"><script>']) {
      t.equal(continuePage({ ...basket, locale }), continuePage({ ...basket, locale: 'en-GB' }), locale);
    }
    t.equal(continuePage({ ...basket, locale: 'de-u-nu-arab-ca-buddhist' }), continuePage({ ...basket, locale: 'de' }));
  },
);
