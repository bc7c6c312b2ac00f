/**
 * Ways to write one host so that some parser reads another: each spelling has a name, and a function that writes it.
 * An IPv4 address, an IPv6 address and a name have spellings of their own. Pure.
 */

export interface Spelling {
  readonly name: string;
  readonly text: string;
}

type Quad = readonly [number, number, number, number];

const hex = (n: number) => n.toString(16);
const octal = (n: number) => `0${n.toString(8)}`;
const number = ([a, b, c, d]: Quad) => ((a * 256 + b) * 256 + c) * 256 + d;
const groups = ([a, b, c, d]: Quad) => `${hex(a * 256 + b)}:${hex(c * 256 + d)}`;
const full = (quad: Quad) => quad.join('.');

/** Digits of other scripts and shapes, by what they add to U+0030 and where their zero is. */
const DIGITS: readonly (readonly [string, (digit: string) => string])[] = [
  ['full-width digits', (digit) => String.fromCodePoint(0xff10 + Number(digit))],
  ['mathematical bold digits', (digit) => String.fromCodePoint(0x1d7ce + Number(digit))],
  ['double-struck digits', (digit) => String.fromCodePoint(0x1d7d8 + Number(digit))],
  ['superscript digits', (digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)] as string],
  ['subscript digits', (digit) => String.fromCodePoint(0x2080 + Number(digit))],
  ['circled digits', (digit) => '⓪①②③④⑤⑥⑦⑧⑨'[Number(digit)] as string],
  ['Arabic-Indic digits', (digit) => String.fromCodePoint(0x0660 + Number(digit))],
  ['Devanagari digits', (digit) => String.fromCodePoint(0x0966 + Number(digit))],
];
const DOTS = ['\u3002', '\uff0e', '\uff61', '\u2024', '%2e', '\\.', '..', ' .', '\u00b7'];

/** Two numbers of a text, or three: what `inet_aton` reads. */
const SHORT: readonly (readonly [string, (quad: Quad) => string])[] = [
  ['two parts', ([a, b, c, d]) => `${a}.${(b * 256 + c) * 256 + d}`],
  ['three parts', ([a, b, c, d]) => `${a}.${b}.${c * 256 + d}`],
  ['two parts, hexadecimal', ([a, b, c, d]) => `0x${hex(a)}.0x${hex((b * 256 + c) * 256 + d)}`],
  ['three parts, octal', ([a, b, c, d]) => `${octal(a)}.${octal(b)}.${octal(c * 256 + d)}`],
  ['one number', (quad) => String(number(quad))],
  ['one hexadecimal number', (quad) => `0x${hex(number(quad))}`],
  ['one hexadecimal number in capitals', (quad) => `0X${hex(number(quad)).toUpperCase()}`],
  ['one octal number', (quad) => octal(number(quad))],
  ['one number over 32 bits', (quad) => String(number(quad) + 2 ** 32)],
  ['one padded hexadecimal number', (quad) => `0x${hex(number(quad)).padStart(16, '0')}`],
  ['hexadecimal parts', (quad) => quad.map((n) => `0x${hex(n)}`).join('.')],
  ['capital hexadecimal parts', (quad) => quad.map((n) => `0X${hex(n).toUpperCase()}`).join('.')],
  ['padded hexadecimal parts', (quad) => quad.map((n) => `0x${hex(n).padStart(4, '0')}`).join('.')],
  ['octal parts', (quad) => quad.map(octal).join('.')],
  ['octal parts with many zeros', (quad) => quad.map((n) => `000${octal(n)}`).join('.')],
  ['zero-padded parts', (quad) => quad.map((n) => String(n).padStart(3, '0')).join('.')],
  ['mixed bases', ([a, b, c, d]) => `0x${hex(a)}.${octal(b)}.${c}.${d}`],
  ['parts over 255', ([a, b, c, d]) => `${a + 256}.${b + 256}.${c + 256}.${d + 256}`],
  ['only the last part over 255', ([a, b, c, d]) => `${a}.${b}.${c}.${d + 256}`],
  ['last part octal', ([a, b, c, d]) => `${a}.${b}.${c}.${octal(d)}`],
  ['last part hexadecimal', ([a, b, c, d]) => `${a}.${b}.${c}.0x${hex(d)}`],
  ['a name that ends in its number', (quad) => `a.${number(quad)}`],
  ['a name that ends in hexadecimal', (quad) => `a.0x${hex(number(quad))}`],
];

/** What surrounds a host and is not part of it. */
const AROUND: readonly (readonly [string, (host: string) => string])[] = [
  ['user info before it', (host) => `user@${host}`],
  ['user info with a password', (host) => `user:pw@${host}`],
  ['a good host as user info', (host) => `api.example.com@${host}`],
  ['a good host and port as user info', (host) => `api.example.com:443@${host}`],
  ['as user info of a good host', (host) => `${host}@api.example.com`],
  ['a good host behind a hash', (host) => `${host}#@api.example.com`],
  ['a good host behind a question mark', (host) => `${host}?api.example.com`],
  ['a good host behind a slash', (host) => `${host}/api.example.com`],
  ['a good host behind a backslash', (host) => `${host}\\@api.example.com`],
  ['a good host behind a space', (host) => `${host} api.example.com`],
  ['a good host behind a NUL', (host) => `${host}\0.api.example.com`],
  ['a good host behind %00', (host) => `${host}%00.api.example.com`],
  ['a good host behind a line break', (host) => `${host}\r\nHost: api.example.com`],
  ['a tab before it', (host) => `\t${host}`],
  ['a space before it', (host) => ` ${host}`],
  ['a space behind it', (host) => `${host} `],
  ['two slashes before it', (host) => `//${host}`],
  ['a scheme before it', (host) => `http://${host}`],
  ['a comma and a good host', (host) => `${host},api.example.com`],
  ['a semicolon and a good host', (host) => `${host};api.example.com`],
  ['two trailing dots', (host) => `${host}..`],
  ['a leading dot', (host) => `.${host}`],
  ['a zero-width space inside', (host) => `${host.slice(0, 2)}\u200b${host.slice(2)}`],
  ['a soft hyphen inside', (host) => `${host.slice(0, 2)}\u00ad${host.slice(2)}`],
  ['a byte order mark before it', (host) => `\ufeff${host}`],
  ['a right-to-left mark inside', (host) => `${host.slice(0, 1)}\u200f${host.slice(1)}`],
  ['single quotes around it', (host) => `'${host}'`],
  ['two ports', (host) => `${host}:80:443`],
  ['a good port behind @', (host) => `${host}:80@443`],
  ['port zero', (host) => `${host}:0`],
  ['a port over 65535', (host) => `${host}:65616`],
  ['a padded port', (host) => `${host}:0080`],
  ['an empty port', (host) => `${host}:`],
  ['a named port', (host) => `${host}:http`],
  ['a hexadecimal port', (host) => `${host}:0x50`],
];

const around = (host: string): Spelling[] =>
  AROUND.map(([name, write]) => ({ name, text: write(host) }));

/** IPv6 texts that carry the address. */
const CARRIED: readonly (readonly [string, (quad: Quad) => string])[] = [
  ['IPv4-mapped', (quad) => `::ffff:${full(quad)}`],
  ['IPv4-mapped in capitals', (quad) => `::FFFF:${full(quad)}`],
  ['IPv4-mapped in hexadecimal', (quad) => `::ffff:${groups(quad)}`],
  ['IPv4-mapped, written out', (quad) => `0:0:0:0:0:ffff:${groups(quad)}`],
  ['IPv4-mapped, zero-padded', (quad) => `0000:0000:0000:0000:0000:ffff:${full(quad)}`],
  ['IPv4-compatible', (quad) => `::${full(quad)}`],
  ['IPv4-compatible in hexadecimal', (quad) => `::${groups(quad)}`],
  ['IPv4-translated', (quad) => `::ffff:0:${full(quad)}`],
  ['NAT64', (quad) => `64:ff9b::${full(quad)}`],
  ['NAT64 in hexadecimal', (quad) => `0064:FF9B::${groups(quad)}`],
  ['local NAT64', (quad) => `64:ff9b:1::${full(quad)}`],
  [
    'local NAT64 of 48 bits',
    ([a, b, c, d]) => `64:ff9b:1:${hex(a * 256 + b)}:${hex(c)}:${hex(d)}00::`,
  ],
  ['6to4', (quad) => `2002:${groups(quad)}::`],
  ['6to4 with a host', (quad) => `2002:${groups(quad)}::1`],
  ['Teredo server', (quad) => `2001:0:${groups(quad)}::`],
  [
    'Teredo client',
    ([a, b, c, d]) => `2001:0:808:808::${groups([255 - a, 255 - b, 255 - c, 255 - d])}`,
  ],
  ['ISATAP', (quad) => `2606:4700::5efe:${full(quad)}`],
  ['ISATAP, universal', (quad) => `2606:4700::200:5efe:${groups(quad)}`],
  ['ISATAP, link-local', (quad) => `fe80::5efe:${full(quad)}`],
];

export function spellingsOfIpv4(address: string): Spelling[] {
  const quad = address.split('.').map(Number) as unknown as Quad;
  return [
    { name: 'plain', text: address },
    { name: 'a port', text: `${address}:80` },
    { name: 'a trailing dot', text: `${address}.` },
    { name: 'in brackets', text: `[${address}]` },
    ...DIGITS.map(([name, digit]) => ({ name, text: address.replace(/\d/g, digit) })),
    ...DOTS.map((dot) => ({
      name: `dots as ${JSON.stringify(dot)}`,
      text: address.replaceAll('.', dot),
    })),
    ...SHORT.map(([name, write]) => ({ name, text: write(quad) })),
    ...CARRIED.map(([name, write]) => ({ name, text: `[${write(quad)}]` })),
    ...CARRIED.map(([name, write]) => ({ name: `${name}, no brackets`, text: write(quad) })),
    { name: 'percent-encoded', text: percentEncoded(address) },
    {
      name: 'its first digit percent-encoded',
      text: percentEncoded(address[0] as string) + address.slice(1),
    },
    ...around(address),
  ];
}

export function spellingsOfIpv6(address: string): Spelling[] {
  const long = writtenOut(address);
  return [
    { name: 'plain', text: `[${address}]` },
    { name: 'a port', text: `[${address}]:80` },
    { name: 'capitals', text: `[${address.toUpperCase()}]` },
    { name: 'written out', text: `[${long.map((group) => hex(group)).join(':')}]` },
    {
      name: 'zero-padded',
      text: `[${long.map((group) => hex(group).padStart(4, '0')).join(':')}]`,
    },
    { name: 'no brackets', text: address },
    { name: 'a zone', text: `[${address}%eth0]` },
    { name: 'an encoded zone', text: `[${address}%25lo]` },
    { name: 'a numeric zone', text: `[${address}%1]` },
    { name: 'doubled brackets', text: `[[${address}]]` },
    { name: 'an open bracket', text: `[${address}` },
    { name: 'a closing bracket', text: `${address}]` },
    { name: 'a prefix length', text: `[${address}/128]` },
    {
      name: 'five digits in a group',
      text: `[0${long.map((g) => hex(g).padStart(4, '0')).join(':')}]`,
    },
    { name: 'spaces in the brackets', text: `[ ${address} ]` },
    { name: 'encoded brackets', text: `%5b${address}%5d` },
    { name: 'full-width colons', text: `[${address.replaceAll(':', '\uff1a')}]` },
    {
      name: 'a name of ipv6-literal.net',
      text: `${address.replaceAll(':', '-')}.ipv6-literal.net.localhost`,
    },
    { name: 'a future address', text: `[v1.${address}]` },
    ...around(`[${address}]`),
  ];
}

/** Letters that fold to ASCII ones in some case or compatibility mapping. */
const LETTERS: readonly (readonly [string, (letter: string) => string])[] = [
  ['full-width letters', (letter) => String.fromCodePoint(0xff41 + at(letter))],
  ['circled letters', (letter) => String.fromCodePoint(0x24d0 + at(letter))],
  ['mathematical bold letters', (letter) => String.fromCodePoint(0x1d41a + at(letter))],
  ['parenthesised letters', (letter) => String.fromCodePoint(0x249c + at(letter))],
];
const at = (letter: string) => letter.charCodeAt(0) - 97;

export function spellingsOfName(name: string): Spelling[] {
  return [
    { name: 'plain', text: name },
    { name: 'a port', text: `${name}:80` },
    { name: 'capitals', text: name.toUpperCase() },
    { name: 'a capital', text: name.slice(0, 1).toUpperCase() + name.slice(1) },
    { name: 'a trailing dot', text: `${name}.` },
    { name: 'capitals, dot and port', text: `${name.toUpperCase()}.:80` },
    { name: 'in brackets', text: `[${name}]` },
    ...DOTS.map((dot) => ({ name: `a trailing ${JSON.stringify(dot)}`, text: `${name}${dot}` })),
    ...LETTERS.map(([sentence, write]) => ({
      name: sentence,
      text: name.replace(/[a-z]/g, write),
    })),
    { name: 'percent-encoded', text: percentEncoded(name) },
    { name: 'a long s for an s', text: `\u017f${name}` },
    { name: 'a Kelvin sign behind it', text: `${name}\u212a` },
    { name: 'a Cyrillic letter before it', text: `\u043e${name}` },
    { name: 'an underscore behind it', text: `${name}_` },
    { name: 'an underscore before it', text: `_${name}` },
    { name: 'an A-label of ASCII', text: `xn--${name.replaceAll('.', '-')}-` },
    ...around(name),
  ];
}

const percentEncoded = (text: string) =>
  [...text].map((character) => `%${hex(character.charCodeAt(0)).padStart(2, '0')}`).join('');

/** The eight groups. The addresses here have no dotted quad. */
function writtenOut(address: string): number[] {
  const [head = '', tail = ''] = address.split('::');
  const read = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [left, right] = [read(head), read(tail)];
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}
