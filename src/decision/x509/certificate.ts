/**
 * Certificates and certificate requests as the objects that policies for OPA know: the fields of Go's x509 package.
 * Pure.
 */
import type { RegoObject, RegoValue } from '../rego-value.ts';
import {
  bits,
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
import {
  base64,
  type Extension,
  extensionsIn,
  fields,
  isHandled,
  knownExtensions,
  NO_EXTENSIONS,
  narrow,
  orNull,
} from './extensions.ts';

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
  return fields({
    ...Object.fromEntries(listed),
    ...single,
    Names: orNull(Names),
    ExtraNames: null,
  });
}

const extensionFields = ({ id, critical, value }: Extension) =>
  fields({ Id: id, Critical: critical, Value: base64(value) });

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
  const unhandled = extensions.filter((extension) => extension.critical && !isHandled(extension));
  return fields({
    ...NO_EXTENSIONS,
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
    ...NO_EXTENSIONS,
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
