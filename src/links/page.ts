import { LRUCache } from 'lru-cache';
import { type Html, html, isolated, page } from '../http/pages.ts';
import { type Texts, textsFor } from './texts.ts';

type ContinueView = {
  shopName: string;
  locale: string;
  supportUrl: string | null;
  items: readonly { name: string; quantity: number }[];
  events: readonly { name: string; startsAt: Date | null }[];
  heldUntil: Date | null;
  soldOut: boolean;
  account: string | null;
  total: string | null;
};

type ProblemView = {
  code: string;
  locale: string;
  shopName: string | null;
  supportUrl: string | null;
  requestId: string;
};

type Formats = LRUCache<string, Intl.DateTimeFormat>;

/** Making a formatter takes 0.2 ms, more than the rest of the page; callers choose locales, so what is kept is bounded. */
function formatsByLocale(options: Intl.DateTimeFormatOptions): Formats {
  return new LRUCache({ max: 100, memoMethod: (locale: string) => new Intl.DateTimeFormat(locale, options) });
}

// Where the reader is, and the venue, is unknown: UTC is named, with the date, as it may be another day there.
const HELD_UNTIL: Intl.DateTimeFormatOptions = {
  day: 'numeric',
  month: 'long',
  year: 'numeric',
  hour: 'numeric',
  minute: '2-digit',
  timeZone: 'UTC',
  timeZoneName: 'short',
};
const HELD_UNTIL_FORMATS = formatsByLocale(HELD_UNTIL);
const EVENT_FORMATS = formatsByLocale({ ...HELD_UNTIL, weekday: 'long' });

/**
 * The page between a start link and the shop: what is in the basket and one button that POSTs to the address the page
 * was read from. `locale` is BCP 47; `heldUntil` null says that nothing is held yet; with `soldOut` there is no button,
 * since nothing could be held; `account` is already masked (`maskAccount` of the baskets) and `total` already formatted.
 * The same view always gives the same bytes.
 */
export function continuePage(view: ContinueView): string {
  const texts = textsFor(view.locale);
  const shop = isolated(view.shopName);
  return page({
    lang: texts.locale,
    title: `${texts.basketTitle} – ${view.shopName}`,
    body: html`<h1>${texts.basketAt(shop)}</h1>
<p>${holdLine(view, texts)}</p>
${itemSection(view, texts)}
${eventSection(view, texts)}
${view.soldOut ? null : buttonSection(view, texts)}
<p class="quiet">${texts.keepToYourself}</p>
${supportLine(view.supportUrl, texts)}`,
  });
}

/**
 * The page for somebody whose start link cannot be followed. A `code` without a text of its own gets the general one;
 * `shopName` and `supportUrl` stay null until the link has proven which shop it belongs to.
 */
export function problemPage(view: ProblemView): string {
  const texts = textsFor(view.locale);
  const problem = problemText(view.code, texts);
  return page({
    lang: texts.locale,
    title: view.shopName === null ? problem.heading : `${problem.heading} – ${view.shopName}`,
    body: html`${view.shopName === null ? null : html`<p class="quiet">${isolated(view.shopName)}</p>`}
<h1>${problem.heading}</h1>
<p>${problem.explanation}</p>
<p>${problem.next}</p>
${supportLine(view.supportUrl, texts)}
<p class="quiet">${texts.reference(html`<code>${view.requestId}</code>`)}</p>`,
  });
}

function holdLine(view: ContinueView, texts: Texts): Html | string {
  if (view.items.length === 0) return texts.noItems;
  if (view.soldOut) return texts.soldOut;
  return view.heldUntil ? texts.heldUntil(time(view.heldUntil, HELD_UNTIL_FORMATS, texts)) : texts.notHeldYet;
}

function buttonSection({ account, shopName }: ContinueView, texts: Texts): Html {
  return html`<form method="post">
${account === null ? null : html`<p>${texts.continueAs(isolated(account))} ${texts.notYou}</p>`}
<button type="submit">${texts.continueTo(isolated(shopName))}</button>
</form>`;
}

function itemSection(view: ContinueView, texts: Texts): Html | null {
  if (view.items.length === 0) return null;
  const items = view.items.map(({ name, quantity }) => html`<li><span>${quantity} ×</span> ${isolated(name)}</li>\n`);
  const total = view.total === null ? null : html`<p class="total">${texts.total} ${isolated(view.total)}</p>`;
  return html`<h2>${texts.items}</h2>
<ul>
${items}</ul>
${total}`;
}

function eventSection(view: ContinueView, texts: Texts): Html | null {
  if (view.events.length === 0) return null;
  const events = view.events.map(({ name, startsAt }) => {
    const start = startsAt && html` <span class="quiet">${time(startsAt, EVENT_FORMATS, texts)}</span>`;
    return html`<li class="event">${isolated(name)}${start}</li>\n`;
  });
  return html`<h2>${view.events.length === 1 ? texts.event : texts.events}</h2>
<ul>
${events}</ul>`;
}

function problemText(code: string, texts: Texts) {
  const known: Readonly<Record<string, Texts['problems']['generic']>> = texts.problems;
  return (Object.hasOwn(known, code) && known[code]) || texts.problems.generic;
}

function supportLine(supportUrl: string | null, texts: Texts): Html | null {
  // Escaping does not disarm "javascript:", so the scheme is looked at where the link is made.
  if (supportUrl === null || !/^(https?|mailto):/i.test(supportUrl)) return null;
  // This page's own address lets its reader into the basket: it must not travel on as a referrer.
  return html`<p class="quiet"><a href="${supportUrl}" rel="noreferrer">${texts.contactSupport}</a></p>`;
}

function time(date: Date, formats: Formats, texts: Texts): Html {
  return html`<time datetime="${date.toISOString()}">${formats.memo(texts.locale).format(date)}</time>`;
}
