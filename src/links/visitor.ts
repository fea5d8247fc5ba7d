import type { IncomingHttpHeaders } from 'node:http';
import type { OpenerKind } from '../baskets/index.ts';

/**
 * Programs that fetch a link to show a preview of it and name themselves. Headless browsers that do not are caught by
 * the page's button, not here.
 */
const previewBots =
  /bot\b|crawler|spider|facebookexternalhit|facebookcatalog|whatsapp|skypeuripreview|bingpreview|googleimageproxy|google-safety|slack-imgproxy|vkshare|embedly|iframely|outbrain|quora link preview|snapchat|pinterest|tumblr|nuzzel|flipboard|redditbot|mattermost|zulip|yahoo link preview|microsoft office|ms-office|proofpoint|mimecast|barracuda/i;

/**
 * Who opens a link. A `person` may be answered with a token: not a browser's prefetch, not a known preview bot, and either
 * what browsers say of a top-level navigation or, where the shop asked for `redirect` and the browser is too old to say
 * anything, nothing at all. All else counts as a `preview`. Source of the headers: W3C Fetch Metadata.
 */
export function openerOf(method: string, headers: IncomingHttpHeaders, redirectAskedFor: boolean): OpenerKind {
  const purposes = [headers['sec-purpose'], headers.purpose, headers['x-purpose'], headers['x-moz']].join(' ');
  if (/prefetch|prerender|preview/i.test(purposes)) return 'prefetch';
  if (method !== 'GET' || previewBots.test(headers['user-agent'] ?? '')) return 'preview';
  const fetchMetadata = Object.keys(headers).filter((name) => name.startsWith('sec-fetch-'));
  const isNavigation = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return isNavigation || (fetchMetadata.length === 0 && redirectAskedFor) ? 'person' : 'preview';
}

/**
 * Whether a POST came from another site: by `Sec-Fetch-Site` where the browser sends it, else by `Origin`. `null` as
 * Origin is not foreign beside `Sec-Fetch-Site: same-origin`, which is what Chromium sends under a strict referrer
 * policy.
 */
export function isCrossSite(headers: IncomingHttpHeaders, ownOrigin: string): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  return headers.origin !== undefined && headers.origin !== ownOrigin;
}
