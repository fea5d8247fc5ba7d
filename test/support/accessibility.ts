import type { Page } from 'playwright-core';

type TextColours = { text: string; colour: string; ground: string };

/** Every element that holds text itself, with its colour and that of the nearest ground behind it, as `rgb(…)`. */
export function coloursOfTexts(page: Page): Promise<TextColours[]> {
  return page.evaluate<TextColours[]>(`
    [...document.querySelectorAll('main, main *')]
      .map((element) => ({
        element,
        text: [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join(' ').trim(),
      }))
      .filter(({ text }) => text !== '')
      .map(({ element, text }) => {
        let behind = element;
        while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
        return { text, colour: getComputedStyle(element).color, ground: getComputedStyle(behind).backgroundColor };
      })
  `);
}

/** WCAG 2.2: the ratio of the luminances of two colours, 1–21. */
export function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

/** WCAG 2.2: relative luminance of an `rgb(…)` colour, 0–1. */
export function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [...colour.matchAll(/\d+/g)].map(([channel]) => {
    const value = Number(channel) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
