import { checkCustom } from '../../baskets/index.ts';
import { isRefusal, type Refusal } from '../../errors.ts';
import { decimalOf, MAX_PRICE_MINOR, minorOf } from '../../money/index.ts';
import { type Fields, fieldsOf, isLeftOut, numberIn, objectIn, required, textIn, wrong } from '../fields.ts';

/** A dynamic package as a back end wants it. */
type WantedPackage = {
  name: string;
  priceMinor: number;
  slug: string;
  description: string;
  image: string | null;
  custom: Record<string, string>;
};

/** What a back end says of the dynamic packages of a basket. */
export type WantedPackages = { username: string; categoryId: number; packages: WantedPackage[] };

const maxPackages = 100;

/**
 * Reads the body of a PUT of dynamic packages; prices are in major units of `currency`. What of it becomes an item is
 * bounded as items are. Refusal: `invalid_request`, naming the parameter.
 */
export function readWanted(fields: Fields, currency: string): WantedPackages | Refusal {
  const username = required('username', textIn(fields, 'username'));
  if (isRefusal(username)) return username;
  const categoryId = required('category_id', numberIn(fields, 'category_id'));
  if (isRefusal(categoryId)) return categoryId;
  const written = fields.packages;
  if (!Array.isArray(written)) return wrong('packages', 'must be a list');
  if (written.length > maxPackages) return wrong('packages', `may have ${maxPackages} entries at most`);
  const packages = new Map<string, WantedPackage>();
  for (const [at, entry] of written.entries()) {
    const wanted = readPackage(`packages/${at}`, entry, currency);
    if (isRefusal(wanted)) return wanted;
    if (packages.has(wanted.slug)) return wrong(`packages/${at}/slug`, 'stands there twice');
    packages.set(wanted.slug, wanted);
  }
  return { username, categoryId, packages: [...packages.values()] };
}

const slugFormat = /^[A-Za-z0-9_.-]{1,100}$/;

/** Reads an entry of the list, which stands at this place of the body. */
function readPackage(place: string, entry: unknown, currency: string): WantedPackage | Refusal {
  const written = fieldsOf(entry);
  if (isRefusal(written)) return wrong(place, 'must be an object');
  // Under the names that refusals call them by.
  const fields = Object.fromEntries(Object.entries(written).map(([name, value]) => [`${place}/${name}`, value]));
  const name = required(`${place}/name`, textUpTo(fields, `${place}/name`, 200));
  if (isRefusal(name)) return name;
  const priceMinor = priceIn(fields, `${place}/price`, currency);
  if (isRefusal(priceMinor)) return priceMinor;
  const slug = required(`${place}/slug`, textIn(fields, `${place}/slug`));
  if (isRefusal(slug)) return slug;
  if (!slugFormat.test(slug)) return wrong(`${place}/slug`, 'must be 1 to 100 characters of A-Z a-z 0-9 _ . -');
  const description = textUpTo(fields, `${place}/description`, 5000);
  if (isRefusal(description)) return description;
  const image = textUpTo(fields, `${place}/image_url`, 2048);
  if (isRefusal(image)) return image;
  const custom = textsIn(fields, `${place}/custom`);
  if (isRefusal(custom)) return custom;
  return { name, priceMinor, slug, description: description ?? '', image, custom };
}

function textUpTo(fields: Fields, name: string, maxLength: number): string | null | Refusal {
  const text = textIn(fields, name);
  if (isRefusal(text) || text === null || text.length <= maxLength) return text;
  return wrong(name, `may have ${maxLength} characters at most`);
}

/** A price in minor units; it comes in major ones, as a number or as text, and is not rounded. */
function priceIn(fields: Fields, name: string, currency: string): number | Refusal {
  const value = fields[name];
  if (isLeftOut(value)) return wrong(name, 'is required');
  const decimal = typeof value === 'string' && /^\d{1,10}(\.\d{1,3})?$/.test(value) ? Number(value) : value;
  if (typeof decimal !== 'number') return wrong(name, 'must be a number');
  const priceMinor = minorOf(decimal, currency);
  if (priceMinor === null) return wrong(name, `must be a whole number of the smallest unit of ${currency}`);
  if (priceMinor < 0 || priceMinor > MAX_PRICE_MINOR) {
    return wrong(name, `must be between 0 and ${decimalOf(MAX_PRICE_MINOR, currency)}`);
  }
  return priceMinor;
}

function textsIn(fields: Fields, name: string): Record<string, string> | Refusal {
  const object = objectIn(fields, name);
  if (isRefusal(object)) return object;
  const isTexts = (written: Fields): written is Record<string, string> =>
    Object.values(written).every((value) => typeof value === 'string');
  if (!isTexts(object)) return wrong(name, 'must have strings only');
  return checkCustom(`/${name}`, object) ?? object;
}
