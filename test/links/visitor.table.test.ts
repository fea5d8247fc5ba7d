import t from 'tap';
import { isCrossSite, openerOf } from '../../src/links/visitor.ts';

const navigation = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
const browser = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36' };

type Visit = { what: string; headers: Record<string, string>; method?: string };

const people: Visit[] = [
  { what: 'a navigation', headers: { ...browser, ...navigation } },
  { what: 'a navigation from another site', headers: { ...browser, ...navigation, 'sec-fetch-site': 'cross-site' } },
  { what: 'a navigation without a user agent', headers: navigation },
  {
    what: 'a phone with an app’s name in its agent',
    headers: { ...navigation, 'user-agent': 'Mozilla/5.0 GSA/300.0 Mobile' },
  },
];

const nobody: Visit[] = [
  { what: 'HEAD', method: 'HEAD', headers: { ...browser, ...navigation } },
  { what: 'a prefetch', headers: { ...browser, ...navigation, 'sec-purpose': 'prefetch' } },
  { what: 'a prerender', headers: { ...browser, ...navigation, 'sec-purpose': 'prefetch;prerender' } },
  { what: 'a prefetch of an older Chromium', headers: { ...browser, ...navigation, purpose: 'prefetch' } },
  { what: 'a preview of Safari', headers: { ...browser, ...navigation, 'x-purpose': 'preview' } },
  { what: 'a prefetch of an older Firefox', headers: { ...browser, ...navigation, 'x-moz': 'prefetch' } },
  { what: 'a frame', headers: { ...browser, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' } },
  { what: 'an embedded object', headers: { ...browser, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'embed' } },
  { what: 'an image', headers: { ...browser, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' } },
  { what: 'a script’s request', headers: { ...browser, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' } },
  { what: 'half of what a browser says', headers: { ...browser, 'sec-fetch-mode': 'navigate' } },
  ...[
    'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
    'Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)',
    'TelegramBot (like TwitterBot)',
    'Twitterbot/1.0',
    'LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)',
    'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
    'WhatsApp/2.23.20.0',
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)',
    'Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5',
  ].map((agent) => ({ what: agent, headers: { ...navigation, 'user-agent': agent } })),
];

const silent: Visit[] = [
  { what: 'an old browser', headers: browser },
  { what: 'no header at all', headers: {} },
];
const silentMachines: Visit[] = [
  { what: 'a preview bot that sends no fetch metadata', headers: { 'user-agent': 'Slackbot 1.0' } },
  { what: 'HEAD without fetch metadata', method: 'HEAD', headers: browser },
  { what: 'a prefetch without fetch metadata', headers: { ...browser, purpose: 'prefetch' } },
];

const passes = ({ method = 'GET', headers }: Visit, redirectAskedFor: boolean) =>
  openerOf(method, headers, redirectAskedFor) === 'person';
const names = (visits: Visit[]) => visits.map(({ what }) => what);

t.test('a person’s navigation is one whether or not the shop asked for redirects', async (t) => {
  for (const asked of [true, false]) t.same(names(people.filter((visit) => passes(visit, asked))), names(people));
});

t.test('prefetches, previews, frames and programs are never taken for a person', async (t) => {
  for (const asked of [true, false]) t.same(names(nobody.filter((visit) => passes(visit, asked))), []);
});

t.test('a browser that says nothing of its request is believed only where the shop asked for redirects', async (t) => {
  t.same(names(silent.filter((visit) => passes(visit, false))), []);
  t.same(names(silent.filter((visit) => passes(visit, true))), names(silent));
  t.same(names(silentMachines.filter((visit) => passes(visit, true))), []);
});

const own = 'https://baskets.example';
const posts: { what: string; headers: Record<string, string>; crossSite: boolean }[] = [
  { what: 'from the page', headers: { 'sec-fetch-site': 'same-origin', origin: own }, crossSite: false },
  {
    what: 'from the page under a strict referrer policy',
    headers: { 'sec-fetch-site': 'same-origin', origin: 'null' },
    crossSite: false,
  },
  { what: 'typed by the user', headers: { 'sec-fetch-site': 'none' }, crossSite: false },
  {
    what: 'from another site',
    headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    crossSite: true,
  },
  {
    what: 'from another site that hides its origin',
    headers: { 'sec-fetch-site': 'cross-site', origin: 'null' },
    crossSite: true,
  },
  {
    what: 'from another site that claims ours',
    headers: { 'sec-fetch-site': 'cross-site', origin: own },
    crossSite: true,
  },
  {
    what: 'from a neighbouring host',
    headers: { 'sec-fetch-site': 'same-site', origin: 'https://blog.example' },
    crossSite: true,
  },
  { what: 'of an old browser from the page', headers: { origin: own }, crossSite: false },
  { what: 'of an old browser that sends no origin', headers: {}, crossSite: false },
  { what: 'of an old browser from another site', headers: { origin: 'https://evil.example' }, crossSite: true },
  { what: 'of an old browser from another port', headers: { origin: `${own}:8443` }, crossSite: true },
  {
    what: 'of an old browser from our host without TLS',
    headers: { origin: 'http://baskets.example' },
    crossSite: true,
  },
  { what: 'of an old browser that hides its origin', headers: { origin: 'null' }, crossSite: true },
];

t.test('a POST is told from one of another site by Sec-Fetch-Site, else by its Origin', async (t) => {
  for (const { what, headers, crossSite } of posts) t.equal(isCrossSite(headers, own), crossSite, `a POST ${what}`);
});
