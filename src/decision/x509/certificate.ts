/**
 * Certificates and certificate requests as the objects that policies for OPA know: the fields of Go's x509 package.
 * Name constraints are not taken apart. Pure.
 */
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
  time,
} from './der.ts';

const base64 = (bytes: Buffer) => bytes.toString('base64');
const narrow = (value: bigint): RegoValue =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;
export const fields = (values: Readonly<Record<string, RegoValue>>): RegoObject =>
  new Map(Object.entries(values));
const orNull = (items: readonly RegoValue[]): RegoValue => (items.length === 0 ? null : items);

/** Numbers of Go for what signs. */
const SIGNATURES: Readonly<Record<string, number>> = {
  '1.2.840.113549.1.1.4': 2,
  '1.2.840.113549.1.1.5': 3,
  '1.2.840.113549.1.1.11': 4,
  '1.2.840.113549.1.1.12': 5,
  '1.2.840.113549.1.1.13': 6,
  '1.2.840.10045.4.1': 9,
  '1.2.840.10045.4.3.2': 10,
  '1.2.840.10045.4.3.3': 11,
  '1.2.840.10045.4.3.4': 12,
  '1.3.101.112': 16,
};
const PSS = '1.2.840.113549.1.1.10';
const PSS_HASHES: Readonly<Record<string, number>> = {
  '2.16.840.1.101.3.4.2.1': 13,
  '2.16.840.1.101.3.4.2.2': 14,
  '2.16.840.1.101.3.4.2.3': 15,
};

function signatureAlgorithm(element: Element | undefined): number {
  const [id, parameters] = inside(element);
  const name = oid(id).join('.');
  if (name !== PSS) return SIGNATURES[name] ?? 0;
  const hash = parameters && inside(parameters).find(({ tag }) => tag === 0xa0);
  const [hashId] = hash === undefined ? [] : inside(only(hash.content));
  return hashId === undefined ? 0 : (PSS_HASHES[oid(hashId).join('.')] ?? 0);
}

/** The key, and Go's number for its kind. */
function publicKey(info: Element): { readonly PublicKey: RegoValue; PublicKeyAlgorithm: number } {
  const [algorithm, key] = inside(info);
  const name = oid(inside(algorithm)[0]).join('.');
  const bytes = bits(key);
  if (name === '1.2.840.113549.1.1.1') {
    const [modulus, exponent] = inside(only(bytes));
    const PublicKey = fields({ N: narrow(integer(modulus)), E: narrow(integer(exponent)) });
    return { PublicKey, PublicKeyAlgorithm: 1 };
  }
  if (name === '1.2.840.10045.2.1') {
    if (bytes[0] !== 4) throw new DerError('compressed point');
    const half = (bytes.length - 1) / 2;
    const coordinate = (start: number) =>
      narrow(BigInt(`0x${bytes.subarray(start, start + half).toString('hex')}`));
    const PublicKey = fields({ Curve: new Map(), X: coordinate(1), Y: coordinate(1 + half) });
    return { PublicKey, PublicKeyAlgorithm: 3 };
  }
  if (name === '1.3.101.112') return { PublicKey: base64(bytes), PublicKeyAlgorithm: 4 };
  return { PublicKey: null, PublicKeyAlgorithm: 0 };
}

const NAMES: Readonly<Record<string, string>> = {
  '6': 'Country',
  '7': 'Locality',
  '8': 'Province',
  '9': 'StreetAddress',
  '10': 'Organization',
  '11': 'OrganizationalUnit',
  '17': 'PostalCode',
};

function nameOf(element: Element | undefined): RegoValue {
  const lists: Record<string, string[]> = {};
  const single = { CommonName: '', SerialNumber: '' };
  const Names: RegoValue[] = [];
  for (const set of inside(element)) {
    for (const pair of inside(set, TAG.set)) {
      const [id, value] = inside(pair);
      const type = oid(id);
      if (value === undefined) throw new DerError('name');
      const text = textOf(value);
      Names.push(fields({ Type: type, Value: text }));
      const [a, b, c, number, ...more] = type;
      if (a !== 2 || b !== 5 || c !== 4 || more.length > 0) continue;
      if (number === 3) single.CommonName = text;
      if (number === 5) single.SerialNumber = text;
      const list = NAMES[String(number)];
      if (list !== undefined) lists[list] = [...(lists[list] ?? []), text];
    }
  }
  const listed = Object.values(NAMES).map((list) => [list, orNull(lists[list] ?? [])] as const);
  return fields({ ...Object.fromEntries(listed), ...single, Names: orNull(Names), ExtraNames: null });
}

interface Extension {
  readonly id: readonly number[];
  readonly critical: boolean;
  readonly value: Buffer;
}

const extensionsIn = (list: Element): readonly Extension[] =>
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
function knownExtensions(extensions: readonly Extension[]): Record<string, RegoValue> {
  const values: Record<string, RegoValue> = {};
  for (const { id, value } of extensions) {
    const reader = READERS[id.join('.')];
    if (reader !== undefined) Object.assign(values, reader(value));
  }
  return values;
}

const READERS: Readonly<Record<string, (value: Buffer) => Record<string, RegoValue>>> = {
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
    .map(({ content }) =>
      renderIp({
        bits: content.length === 4 ? 32 : 128,
        value: BigInt(`0x${content.toString('hex')}`),
      }),
    );
  const uris = texts(0x86);
  return {
    DNSNames: orNull(texts(0x82)),
    EmailAddresses: orNull(texts(0x81)),
    IPAddresses: orNull(addresses),
    URIs: orNull(uris.map(urlFields)),
    URIStrings: orNull(uris),
  };
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

const extensionFields = ({ id, critical, value }: Extension) =>
  fields({ Id: id, Critical: critical, Value: base64(value) });

/** Fields that are empty unless an extension says otherwise. */
const EMPTY: Readonly<Record<string, RegoValue>> = Object.fromEntries([
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

/** @throws DerError */
export function certificateFields(der: Buffer): RegoObject {
  const [body, algorithm, signature] = inside(only(der));
  if (body === undefined) throw new DerError('certificate');
  const parts = [...inside(body)];
  const version = parts[0]?.tag === 0xa0 ? integer(only((parts.shift() as Element).content)) : 0n;
  const [serial, , issuer, validity, subject, key, ...rest] = parts;
  if (issuer === undefined || subject === undefined || key === undefined) {
    throw new DerError('certificate');
  }
  const [from, until] = inside(validity);
  const listed = rest.find(({ tag }) => tag === 0xa3);
  const extensions = listed === undefined ? [] : extensionsIn(only(listed.content));
  const unhandled = extensions.filter(
    ({ id, critical }) => critical && !Object.hasOwn(READERS, id.join('.')),
  );
  return fields({
    ...EMPTY,
    ...knownExtensions(extensions),
    Extensions: orNull(extensions.map(extensionFields)),
    UnhandledCriticalExtensions: orNull(unhandled.map(({ id }) => id)),
    Raw: base64(der),
    RawTBSCertificate: base64(body.raw),
    RawIssuer: base64(issuer.raw),
    RawSubject: base64(subject.raw),
    RawSubjectPublicKeyInfo: base64(key.raw),
    Version: narrow(version + 1n),
    SerialNumber: narrow(integer(serial)),
    Issuer: nameOf(issuer),
    Subject: nameOf(subject),
    NotBefore: time(from),
    NotAfter: time(until),
    ...publicKey(key),
    Signature: base64(bits(signature)),
    SignatureAlgorithm: signatureAlgorithm(algorithm),
  });
}

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';

/** @throws DerError */
export function requestFields(der: Buffer): RegoObject {
  const [body, algorithm, signature] = inside(only(der));
  const [version, subject, key, attributes] = inside(body);
  if (body === undefined || subject === undefined || key === undefined) {
    throw new DerError('certificate request');
  }
  const requested = (attributes === undefined ? [] : elements(attributes.content))
    .map((attribute) => inside(attribute))
    .filter(([id]) => oid(id).join('.') === EXTENSION_REQUEST)
    .flatMap(([, values]) => inside(values, TAG.set).flatMap(extensionsIn));
  const { DNSNames, EmailAddresses, IPAddresses, URIs } = {
    ...EMPTY,
    ...knownExtensions(requested),
  } as Record<string, RegoValue>;
  return fields({
    Raw: base64(der),
    RawTBSCertificateRequest: base64(body.raw),
    RawSubject: base64(subject.raw),
    RawSubjectPublicKeyInfo: base64(key.raw),
    Version: narrow(integer(version)),
    Subject: nameOf(subject),
    ...publicKey(key),
    Signature: base64(bits(signature)),
    SignatureAlgorithm: signatureAlgorithm(algorithm),
    Attributes: null,
    Extensions: orNull(requested.map(extensionFields)),
    ExtraExtensions: null,
    DNSNames: DNSNames ?? null,
    EmailAddresses: EmailAddresses ?? null,
    IPAddresses: IPAddresses ?? null,
    URIs: URIs ?? null,
  });
}
