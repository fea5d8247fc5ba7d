import { problems, type Refusal } from '../errors.ts';

/** What was refused, and each place that is wrong, for people: as the API says it. */
export function refusalText({ refused, detail, extensions = {} }: Refusal): string {
  const errors: unknown[] = Array.isArray(extensions.errors) ? extensions.errors : [];
  const places = errors.flatMap((error) => {
    if (typeof error !== 'object' || error === null || !('pointer' in error) || !('detail' in error)) return [];
    const place = `${error.pointer} ${error.detail}`;
    return detail?.startsWith(place) ? [] : [`  - ${place}`];
  });
  return [`${refused}: ${detail ?? problems[refused].text}`, ...places].join('\n');
}
