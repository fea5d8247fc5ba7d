import { isAllowedTarget } from '../platform/outbound.ts';

/** How many webhooks the shop, and each of its partners, may have. */
export const maxWebhooks = 20;
/** How long changes can be asked for, and deliveries that failed be tried again. */
export const changesKeptDays = 30;
/** How long deliveries that succeeded are shown. */
export const deliveredKeptDays = 3;

export const maxUrlLength = 2048;

/**
 * The URL of a webhook in WHATWG form, or null when nothing may be sent there. What WHATWG parsing would silently drop or
 * rewrite is refused before parsing, and so is a fragment, which is never sent.
 */
export function webhookUrl(text: string, allowPrivate: boolean): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0020\u007F-\u009F\\#]/.test(text)) return null;
  // Also no credentials that are empty, which the parser drops.
  if (!/^https?:\/\/(?![^/?]*@)[^/]/i.test(text) || !URL.canParse(text)) return null;
  const url = new URL(text);
  return isAllowedTarget(url, allowPrivate) && url.href.length <= maxUrlLength ? url.href : null;
}
