/** Extensions of certificates as the fields of Go's x509 package. Pure. */
import { renderIp } from '../ip-network.ts';
import type { RegoObject, RegoValue } from '../rego-value.ts';
import { parseUri } from '../uri.ts';
import {
  bits,
  contentOf,
  DerError,
  type Element,
  elements,
  inside,
  integer,
  oid,
  only,
  TAG,
  textOf,
} from './der.ts';

export const base64 = (bytes: Buffer) => bytes.toString('base64');
export const narrow = (value: bigint): RegoValue =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;
export const fields = (values: Readonly<Record<string, RegoValue>>): RegoObject =>
  new Map(Object.entries(values));
export const orNull = (items: readonly RegoValue[]): RegoValue =>
  items.length === 0 ? null : items;

export interface Extension {
  readonly id: readonly number[];
  readonly critical: boolean;
  readonly value: Buffer;
}

export const extensionsIn = (list: Element): readonly Extension[] =>
  inside(list).map((element) => {
    const parts = inside(element);
    const critical = parts[1]?.tag === TAG.boolean && parts[1].content[0] !== 0;
    return {
      id: oid(parts[0]),
      critical,
      value: Buffer.from(contentOf(parts.at(-1), TAG.octets)),
    };
  });

const EXTENDED_USAGES: readonly string[] = [
  '2.5.29.37.0',
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((last) => `1.3.6.1.5.5.7.3.${last}`),
  '1.3.6.1.4.1.311.10.3.3',
  '2.16.840.1.113730.4.1',
  '1.3.6.1.4.1.311.2.1.22',
  '1.3.6.1.4.1.311.61.1.1',
];

/** Values of the extensions that Go takes apart. */
export function knownExtensions(extensions: readonly Extension[]): Record<string, RegoValue> {
  const values: Record<string, RegoValue> = {};
  for (const { id, value, critical } of extensions) {
    const reader = READERS[id.join('.')];
    if (reader !== undefined) Object.assign(values, reader(value, critical));
  }
  return values;
}

type Reader = (value: Buffer, critical: boolean) => Record<string, RegoValue>;

const READERS: Readonly<Record<string, Reader>> = {
  '2.5.29.15': (value) => {
    const usage = [...bits(only(value))];
    let KeyUsage = 0;
    for (let i = 0; i < 9; i++) {
      if (((usage[i >> 3] ?? 0) >> (7 - (i & 7))) & 1) KeyUsage |= 1 << i;
    }
    return { KeyUsage };
  },
  '2.5.29.37': (value) => {
    const ids = inside(only(value)).map(oid);
    const known = ids.map((id) => EXTENDED_USAGES.indexOf(id.join('.')));
    return {
      ExtKeyUsage: orNull(known.filter((number) => number !== -1)),
      UnknownExtKeyUsage: orNull(ids.filter((_, i) => known[i] === -1)),
    };
  },
  '2.5.29.19': (value) => {
    const parts = inside(only(value));
    const IsCA = parts[0]?.tag === TAG.boolean && parts[0].content[0] !== 0;
    const limit = parts.find(({ tag }) => tag === TAG.integer);
    const MaxPathLen = limit === undefined ? -1 : narrow(integer(limit));
    return { BasicConstraintsValid: true, IsCA, MaxPathLen, MaxPathLenZero: MaxPathLen === 0 };
  },
  '2.5.29.14': (value) => ({ SubjectKeyId: base64(contentOf(only(value), TAG.octets)) }),
  '2.5.29.35': (value) => {
    const id = inside(only(value)).find(({ tag }) => tag === 0x80);
    return id === undefined ? {} : { AuthorityKeyId: base64(id.content) };
  },
  '2.5.29.17': alternativeNames,
  '2.5.29.30': nameConstraints,
  '2.5.29.32': (value) => {
    const ids = inside(only(value)).map((policy) => oid(inside(policy)[0]));
    return { PolicyIdentifiers: orNull(ids), Policies: orNull(ids.map((id) => id.join('.'))) };
  },
  '1.3.6.1.5.5.7.1.1': (value) => {
    const methods: Record<string, string[]> = { '1': [], '2': [] };
    for (const access of inside(only(value))) {
      const [method, location] = inside(access);
      if (location?.tag === 0x86) methods[String(oid(method).at(-1))]?.push(textOf(location));
    }
    return {
      OCSPServer: orNull(methods['1'] ?? []),
      IssuingCertificateURL: orNull(methods['2'] ?? []),
    };
  },
  '2.5.29.31': (value) => {
    const points = inside(only(value)).flatMap((point) => {
      const name = inside(point).find(({ tag }) => tag === 0xa0);
      const full = name === undefined ? undefined : elements(name.content)[0];
      return full?.tag === 0xa0 ? elements(full.content) : [];
    });
    const urls = points.filter(({ tag }) => tag === 0x86).map(textOf);
    return { CRLDistributionPoints: orNull(urls) };
  },
};

function alternativeNames(value: Buffer): Record<string, RegoValue> {
  const names = inside(only(value));
  const texts = (wanted: number) => names.filter(({ tag }) => tag === wanted).map(textOf);
  const addresses = names
    .filter(({ tag }) => tag === 0x87)
    .map(({ content }) => addressText(content));
  const uris = texts(0x86);
  return {
    DNSNames: orNull(texts(0x82)),
    EmailAddresses: orNull(texts(0x81)),
    IPAddresses: orNull(addresses),
    URIs: orNull(uris.map(urlFields)),
    URIStrings: orNull(uris),
  };
}

/** What a certificate authority may and may not vouch for. */
function nameConstraints(value: Buffer, critical: boolean): Record<string, RegoValue> {
  const lists = inside(only(value));
  const values: Record<string, RegoValue> = { PermittedDNSDomainsCritical: critical };
  for (const [tag, prefix] of [
    [0xa0, 'Permitted'],
    [0xa1, 'Excluded'],
  ] as const) {
    const list = lists.find((one) => one.tag === tag);
    const bases = list === undefined ? [] : elements(list.content).map((tree) => inside(tree)[0]);
    const texts = (wanted: number) =>
      orNull(bases.flatMap((base) => (base?.tag === wanted ? [textOf(base)] : [])));
    values[`${prefix}DNSDomains`] = texts(0x82);
    values[`${prefix}EmailAddresses`] = texts(0x81);
    values[`${prefix}URIDomains`] = texts(0x86);
    values[`${prefix}IPRanges`] = orNull(
      bases.flatMap((base) => (base?.tag === 0x87 ? [rangeFields(base.content)] : [])),
    );
  }
  return values;
}

function rangeFields(content: Buffer): RegoValue {
  const half = content.length / 2;
  const IP = addressText(content.subarray(0, half));
  return fields({ IP, Mask: base64(content.subarray(half)) });
}

function addressText(bytes: Buffer): string {
  if (bytes.length !== 4 && bytes.length !== 16) throw new DerError('address');
  const value = BigInt(`0x${bytes.toString('hex')}`);
  return renderIp({ bits: bytes.length === 4 ? 32 : 128, value });
}

function urlFields(text: string): RegoValue {
  const uri = parseUri(text);
  if (uri === null) throw new DerError('URI');
  const RawPath = uri.rawPath === uri.path ? '' : uri.rawPath;
  return fields({
    Scheme: uri.scheme,
    Opaque: '',
    User: null,
    Host: uri.host,
    Path: uri.path,
    Fragment: uri.fragment,
    RawQuery: uri.query,
    RawPath,
    RawFragment: '',
    ForceQuery: false,
    OmitHost: false,
  });
}

/** Go takes it apart. */
export const isHandled = ({ id }: Extension) => Object.hasOwn(READERS, id.join('.'));

/** Fields that are empty unless an extension says otherwise. */
export const NO_EXTENSIONS: Readonly<Record<string, RegoValue>> = Object.fromEntries([
  ...[
    'AuthorityKeyId',
    'CRLDistributionPoints',
    'DNSNames',
    'EmailAddresses',
    'ExcludedDNSDomains',
    'ExcludedEmailAddresses',
    'ExcludedIPRanges',
    'ExcludedURIDomains',
    'ExtKeyUsage',
    'ExtraExtensions',
    'IPAddresses',
    'IssuingCertificateURL',
    'OCSPServer',
    'PermittedDNSDomains',
    'PermittedEmailAddresses',
    'PermittedIPRanges',
    'PermittedURIDomains',
    'Policies',
    'PolicyIdentifiers',
    'PolicyMappings',
    'SubjectKeyId',
    'URIStrings',
    'URIs',
    'UnknownExtKeyUsage',
  ].map((name) => [name, null] as const),
  ...['InhibitAnyPolicy', 'InhibitPolicyMapping', 'RequireExplicitPolicy'].flatMap(
    (name): [string, RegoValue][] => [
      [name, 0],
      [`${name}Zero`, false],
    ],
  ),
  ['BasicConstraintsValid', false],
  ['IsCA', false],
  ['KeyUsage', 0],
  ['MaxPathLen', 0],
  ['MaxPathLenZero', false],
  ['PermittedDNSDomainsCritical', false],
]);
