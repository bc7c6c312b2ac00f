/**
 * Native builtins on encodings: base64, JSON, blocks of addresses. Bytes that are no UTF-8 become U+FFFD. Pure.
 */
import { type Builtin, ofText, ofTexts } from '../decision/builtin.ts';
import { parseRego, type RegoValue } from '../decision/rego-value.ts';
import { addressBlock, type Block, blockOf, holds } from './address-block.ts';
import { adopted, jsonText } from './value.ts';

const CHARACTER_STEPS = 5;

const paid =
  (builtin: Builtin): Builtin =>
  (args, context) => {
    for (const arg of args) {
      if (typeof arg === 'string') context.charge(arg.length * CHARACTER_STEPS);
    }
    return builtin(args, context);
  };

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const BASE64_URL = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}(?:==)?|[A-Za-z0-9_-]{3}=?)?$/;

/** Line ends are skipped, as Go does. */
const withoutLines = (text: string) => text.replace(/[\r\n]/g, '');

const isBase64 = (value: RegoValue | undefined) =>
  typeof value === 'string' && BASE64.test(withoutLines(value));

const decoded = (alphabet: RegExp, encoding: 'base64' | 'base64url') => (text: string) =>
  alphabet.test(withoutLines(text)) ? Buffer.from(text, encoding).toString() : undefined;

const urlEncoded = (text: string) => {
  const encoded = Buffer.from(text).toString('base64url');
  return encoded.padEnd(Math.ceil(encoded.length / 4) * 4, '=');
};

/** @returns undefined when the text is no JSON. */
function jsonValue(text: string): RegoValue | undefined {
  try {
    return adopted(parseRego(text, 'json'), () => {});
  } catch {
    return undefined;
  }
}

const marshal: Builtin = ([value], { charge }) => {
  if (value === undefined) return undefined;
  const text = jsonText(value, charge);
  charge(text.length * CHARACTER_STEPS);
  return text;
};

/** A block, or for `contains` one address as the smallest block. */
const onBlocks = (
  compare: (a: Block, b: Block) => boolean,
  second: (text: string) => Block | null,
) =>
  ofTexts((a, b) => {
    const [x, y] = [addressBlock(a), second(b)];
    return x === null || y === null ? undefined : compare(x, y);
  });

const contains = onBlocks(holds, blockOf);

export const ENCODING_BUILTINS: Readonly<Record<string, Builtin>> = {
  'base64.is_valid': paid(([value]) => isBase64(value)),
  'base64.encode': paid(ofText((text) => Buffer.from(text).toString('base64'))),
  'base64.decode': paid(ofText(decoded(BASE64, 'base64'))),
  'base64url.encode': paid(ofText(urlEncoded)),
  'base64url.decode': paid(ofText(decoded(BASE64_URL, 'base64url'))),
  'json.marshal': marshal,
  'json.unmarshal': paid(ofText(jsonValue)),
  'json.is_valid': paid(([value]) => typeof value === 'string' && jsonValue(value) !== undefined),
  'net.cidr_contains': paid(contains),
  'net.cidr_overlap': paid(contains),
  'net.cidr_intersects': paid(onBlocks((a, b) => holds(a, b) || holds(b, a), addressBlock)),
};
