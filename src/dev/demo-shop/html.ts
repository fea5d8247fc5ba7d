/** Markup that is safe to send: only {@link html} makes it. */
export type Html = { readonly markup: string };

type Part = Html | readonly Html[] | string | number | null;

/**
 * Template tag for HTML. Every interpolated string or number is escaped for text and for quoted attributes; markup made by
 * this tag goes in as it is, and null leaves nothing. Interpolate into text or inside double quotes only.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const markup = strings.reduce((before, string, index) => before + render(parts[index - 1] ?? null) + string);
  return { markup };
}

function render(part: Part): string {
  if (part === null) return '';
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part));
  if ('markup' in part) return part.markup;
  return part.map((piece) => piece.markup).join('');
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
