import type { Breakage } from './fuzz.calls.ts';

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON, in which raw text stands as it is. */
export function write(value: unknown): string {
  if (isObject(value) && typeof value.$raw === 'string') return value.$raw;
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}:${write(member)}`)
    .join(',')}}`;
}

/** The JSON of a value that one place of was broken. */
export function broken(value: unknown, breakage: Breakage): string {
  const places = placesIn(value);
  const place = places[breakage.at % places.length];
  if (breakage.what === 'add') {
    const objects = [value, ...places.map(({ member }) => member)].filter(isObject);
    const target = objects[breakage.at % Math.max(1, objects.length)];
    const added = `${JSON.stringify(breakage.key)}:${write(breakage.value)}`;
    return writeBut(value, target, (text) => (text === '{}' ? `{${added}}` : `${text.slice(0, -1)},${added}}`));
  }
  if (place === undefined) return breakage.what === 'remove' ? '' : write(breakage.value);
  const { holder, key, member } = place;
  if (breakage.what === 'double' && isObject(holder)) {
    const doubled = `${JSON.stringify(key)}:${write(breakage.value)}`;
    return writeBut(value, holder, (text) => `${text.slice(0, -1)},${doubled}}`);
  }
  if (Array.isArray(holder)) {
    const changed = holder.flatMap((one, index) => {
      if (String(index) !== key) return [one];
      return breakage.what === 'remove' ? [] : [breakage.value];
    });
    return writeBut(value, holder, () => write(changed));
  }
  const changed = Object.entries(holder).flatMap(([name, one]) => {
    if (name !== key) return [[name, one]];
    return breakage.what === 'remove' ? [] : [[name, 'value' in breakage ? breakage.value : member]];
  });
  return writeBut(value, holder, () => write(Object.fromEntries(changed)));
}

type Place = { holder: unknown[] | Record<string, unknown>; key: string; member: unknown };

function placesIn(value: unknown): Place[] {
  if (!Array.isArray(value) && !isObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => [{ holder: value, key, member }, ...placesIn(member)]);
}

/** The JSON of a value, but for one part of it, of which `change` gets the JSON. */
function writeBut(value: unknown, part: unknown, change: (text: string) => string): string {
  const inside = () => {
    if (Array.isArray(value)) return `[${value.map((member) => writeBut(member, part, change)).join(',')}]`;
    if (!isObject(value) || '$raw' in value) return write(value);
    const members = Object.entries(value).map(
      ([key, member]) => `${JSON.stringify(key)}:${writeBut(member, part, change)}`,
    );
    return `{${members.join(',')}}`;
  };
  return value === part ? change(inside()) : inside();
}

export function isStorable(value: unknown, depthLeft: number): boolean {
  if (typeof value === 'string') return !/\p{Cs}|\0/u.test(value);
  if (typeof value === 'number') return Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depthLeft === 0) return false;
  return Object.entries(value).every(([key, member]) => isStorable(key, 1) && isStorable(member, depthLeft - 1));
}
