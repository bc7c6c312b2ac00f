/**
 * Host builtins on certificates and keys: crypto.x509.* and crypto.parse_private_keys. Chains are checked at the
 * frozen time of the evaluation. A chain through a certificate with name constraints is not verified, because they
 * are not followed. Pure.
 */
import { createPrivateKey, type JsonWebKey, X509Certificate } from 'node:crypto';
import {
  type Builtin,
  type BuiltinContext,
  isArray,
  isNumber,
  isObject,
  isSet,
  ofText,
  ofTexts,
} from './builtin.ts';
import type { RegoObject, RegoValue } from './rego-value.ts';
import { certificateFields, requestFields } from './x509/certificate.ts';
import { elements } from './x509/der.ts';
import { fields } from './x509/extensions.ts';
import { fromBase64, type PemBlock, pemBlocks } from './x509/pem.ts';

const STEPS_PER_CHARACTER = 2000;
const STEPS_PER_SIGNATURE = 5_000_000;
const CHAIN_MAX = 16;

interface Certificate {
  readonly der: Buffer;
  readonly fields: RegoObject;
  readonly x509: X509Certificate;
}

/** Null for bytes that node:crypto or our reader refuses. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    // node:crypto throws errors of many kinds; one without a code and of this kind is the stack.
    if (error instanceof RangeError && !('code' in error)) throw error;
    return null;
  }
}

/** PEM, or base64 of DER or PEM; null when one part is no certificate. */
function certificatesIn(text: string): readonly Certificate[] | null {
  const decoded = text.startsWith('-----BEGIN') ? text : fromBase64(text);
  if (decoded === null) return null;
  const pem = decoded.toString('latin1');
  let bytes = Buffer.from(decoded);
  if (pem.startsWith('-----BEGIN')) {
    const blocks = pemBlocks(pem);
    if (blocks.some(({ type }) => type !== 'CERTIFICATE')) return null;
    bytes = Buffer.concat(blocks.map((block) => block.bytes));
  }
  return attempt(() =>
    elements(bytes).map(({ raw }) => {
      const der = Buffer.from(raw);
      return { der, fields: certificateFields(der), x509: new X509Certificate(der) };
    }),
  );
}

const parseCertificates = ofText((text, { charge }) => {
  charge(text.length * STEPS_PER_CHARACTER);
  return certificatesIn(text)?.map((certificate) => certificate.fields);
});

interface ChainOptions {
  readonly dnsName: string;
  readonly timeNs: bigint;
  /** Numbers of Go; one of them must be allowed. */
  readonly usages: readonly number[];
}

const ANY_USAGE = 0;
const SERVER_AUTH = 1;
const NAME_CONSTRAINTS = '2.5.29.30';

/** From the last certificate over those between to the first, which is trusted; null when there is no way. */
function chainOf(
  certificates: readonly Certificate[],
  options: ChainOptions,
  charge: BuiltinContext['charge'],
): readonly Certificate[] | null {
  const [root, ...others] = certificates;
  const leaf = others.pop();
  if (root === undefined || leaf === undefined) return null;
  if (options.dnsName !== '' && leaf.x509.checkHost(options.dnsName) === undefined) return null;
  const extend = (chain: readonly Certificate[]): readonly Certificate[] | null => {
    const last = chain.at(-1) as Certificate;
    if (!isCurrent(last, options.timeNs) || !allows(last, options.usages)) return null;
    if (last === root) return chain;
    if (chain.length >= CHAIN_MAX) return null;
    for (const issuer of [root, ...others]) {
      if (chain.includes(issuer) || !isIssuer(issuer, last, chain.length - 1, charge)) continue;
      const found = extend([...chain, issuer]);
      if (found !== null) return found;
    }
    return null;
  };
  return extend([leaf]);
}

function isCurrent({ fields: own }: Certificate, timeNs: bigint): boolean {
  const now = Number(timeNs / 1_000_000n);
  const at = (name: string) => Date.parse(String(own.get(name)));
  return now >= at('NotBefore') && now <= at('NotAfter');
}

/** No extension at all allows every use. */
function allows({ fields: own }: Certificate, usages: readonly number[]): boolean {
  if (((own.get('UnhandledCriticalExtensions') ?? []) as readonly RegoValue[]).length > 0) {
    return false;
  }
  const given = own.get('ExtKeyUsage') as readonly number[] | null;
  const unknown = own.get('UnknownExtKeyUsage');
  if (usages.includes(ANY_USAGE) || (given === null && unknown === null)) return true;
  return [ANY_USAGE, ...usages].some((usage) => given?.includes(usage));
}

function isIssuer(
  issuer: Certificate,
  subject: Certificate,
  between: number,
  charge: BuiltinContext['charge'],
): boolean {
  if (issuer.fields.get('RawSubject') !== subject.fields.get('RawIssuer')) return false;
  const basic = issuer.fields.get('BasicConstraintsValid') === true;
  if (issuer.fields.get('Version') === 3 && !(basic && issuer.fields.get('IsCA') === true)) {
    return false;
  }
  const limit = issuer.fields.get('MaxPathLen');
  if (basic && isNumber(limit) && limit >= 0 && between > limit) return false;
  const extensions = (issuer.fields.get('Extensions') ?? []) as readonly RegoObject[];
  const constrained = extensions.some(
    (extension) => (extension.get('Id') as readonly number[]).join('.') === NAME_CONSTRAINTS,
  );
  charge(STEPS_PER_SIGNATURE);
  return !constrained && attempt(() => subject.x509.verify(issuer.x509.publicKey)) === true;
}

const USAGES = [
  'Any',
  'ServerAuth',
  'ClientAuth',
  'CodeSigning',
  'EmailProtection',
  'IPSECEndSystem',
  'IPSECTunnel',
  'IPSECUser',
  'TimeStamping',
  'OCSPSigning',
  'MicrosoftServerGatedCrypto',
  'NetscapeServerGatedCrypto',
  'MicrosoftCommercialCodeSigning',
  'MicrosoftKernelCodeSigning',
].map((name) => `KeyUsage${name}`);

/** Null when an option is not known or has the wrong type. */
function chainOptions(options: RegoObject, timeNs: bigint): ChainOptions | null {
  const known = new Set<RegoValue>([
    'DNSName',
    'CurrentTime',
    'MaxConstraintComparisons',
    'KeyUsages',
  ]);
  if ([...options.keys()].some((key) => typeof key === 'string' && !known.has(key))) return null;
  const dnsName = options.get('DNSName') ?? '';
  const time = options.get('CurrentTime') ?? timeNs;
  const given = options.get('KeyUsages') ?? [];
  const comparisons = options.get('MaxConstraintComparisons') ?? 0;
  if (typeof dnsName !== 'string' || !isNumber(time) || !isNumber(comparisons)) return null;
  if (typeof time === 'number' && !Number.isInteger(time)) return null;
  if (!isArray(given) && !isSet(given)) return null;
  const usages = [...given].filter((usage) => typeof usage === 'string');
  const numbers = usages.map((usage) => USAGES.indexOf(usage.replace(/^"+|"+$/g, '')));
  if (numbers.includes(-1)) return null;
  return {
    dnsName: dnsName.replace(/^"+|"+$/g, ''),
    timeNs: BigInt(time),
    usages: numbers.length === 0 ? [SERVER_AUTH] : numbers,
  };
}

function verified(
  certificates: readonly Certificate[],
  options: ChainOptions,
  charge: BuiltinContext['charge'],
): readonly RegoObject[] | null {
  const chain = chainOf(certificates, options, charge);
  return chain?.map((certificate) => certificate.fields) ?? null;
}

const verifyCertificates = ofText((text, { timeNs, charge }) => {
  charge(text.length * STEPS_PER_CHARACTER);
  const certificates = certificatesIn(text);
  const options = { dnsName: '', timeNs, usages: [SERVER_AUTH] };
  const chain = certificates === null ? null : verified(certificates, options, charge);
  return chain === null ? [false, []] : [true, chain];
});

const verifyWithOptions: Builtin = ([text, options], { timeNs, charge }) => {
  if (typeof text !== 'string' || !isObject(options)) return undefined;
  charge(text.length * STEPS_PER_CHARACTER);
  const certificates = certificatesIn(text);
  if (certificates === null) return [false, []];
  const parsed = chainOptions(options, timeNs);
  if (parsed === null) return undefined;
  const chain = verified(certificates, parsed, charge);
  if (chain === null) return [false, []];
  return [true, chain.map((own) => new Map([...own].filter(([name]) => name !== 'URIStrings')))];
};

const parseRequest = ofText((text, { charge }) => {
  charge(text.length * STEPS_PER_CHARACTER);
  const pem = text.startsWith('-----BEGIN CERTIFICATE REQUEST-----');
  const bytes = pem ? Buffer.from(text) : fromBase64(text);
  if (bytes === null) return undefined;
  const [block] = pemBlocks(bytes.toString('latin1'));
  if (block !== undefined && block.type !== 'CERTIFICATE REQUEST') return undefined;
  return attempt(() => requestFields(Buffer.from(block?.bytes ?? bytes))) ?? undefined;
});

const KEY_TYPES: Readonly<Record<string, 'pkcs1' | 'pkcs8' | 'sec1'>> = {
  'RSA PRIVATE KEY': 'pkcs1',
  'PRIVATE KEY': 'pkcs8',
  'EC PRIVATE KEY': 'sec1',
};

/** Private keys of a PEM text or of base64 of one; null when a block is none. */
function privateKeysIn(text: string): readonly JsonWebKey[] | null {
  const pem = fromBase64(text)?.toString('latin1') ?? text;
  const blocks = pemBlocks(pem).filter(({ type }) => Object.hasOwn(KEY_TYPES, type));
  return attempt(() => blocks.map(jwkOf));
}

const jwkOf = ({ type, bytes }: PemBlock): JsonWebKey =>
  createPrivateKey({
    key: bytes,
    format: 'der',
    type: KEY_TYPES[type] as 'pkcs1' | 'pkcs8' | 'sec1',
  }).export({ format: 'jwk' });

const jwkFromPrivateKey = ofText((text, { charge }) => {
  charge(STEPS_PER_SIGNATURE + text.length * STEPS_PER_CHARACTER);
  const pem = text.startsWith('-----BEGIN') ? text : fromBase64(text)?.toString('latin1');
  if (pem === undefined || text === '') return undefined;
  const keys = privateKeysIn(pem);
  if (keys === null) return undefined;
  const [key] = keys;
  return key === undefined ? null : new Map(Object.entries(key as Record<string, string>));
});

const number = (text: string | undefined): RegoValue => {
  const bytes = Buffer.from(text ?? '', 'base64url').toString('hex');
  const value = BigInt(`0x${bytes === '' ? '0' : bytes}`);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
};

/** A key as Go's JSON of it. */
function keyFields(key: JsonWebKey): RegoValue {
  if (key.kty === 'RSA') {
    return fields({
      N: number(key.n),
      E: number(key.e),
      D: number(key.d),
      Primes: [number(key.p), number(key.q)],
      Precomputed: fields({
        Dp: number(key.dp),
        Dq: number(key.dq),
        Qinv: number(key.qi),
        CRTValues: [],
      }),
    });
  }
  if (key.kty === 'EC') {
    return fields({ Curve: new Map(), X: number(key.x), Y: number(key.y), D: number(key.d) });
  }
  const parts = [key.d, key.x].map((part) => Buffer.from(part ?? '', 'base64url'));
  return Buffer.concat(parts).toString('base64');
}

const parsePrivateKeys = ofText((text, { charge }) => {
  charge(STEPS_PER_SIGNATURE + text.length * STEPS_PER_CHARACTER);
  if (text === '') return null;
  return privateKeysIn(text)?.map(keyFields);
});

/** A PEM text, or base64 of PEM or DER. */
function blocksOf(text: string, type: string): readonly PemBlock[] {
  const bytes = text.startsWith('-----BEGIN ') ? Buffer.from(text) : fromBase64(text);
  if (bytes === null) return [];
  const pem = bytes.toString('latin1');
  return pem.startsWith('-----BEGIN') ? pemBlocks(pem) : [{ type, bytes }];
}

const parseKeyPair = ofTexts((certificateText, keyText, { charge }) => {
  charge(STEPS_PER_SIGNATURE + (certificateText.length + keyText.length) * STEPS_PER_CHARACTER);
  const certificates = blocksOf(certificateText, 'CERTIFICATE').filter(
    ({ type }) => type === 'CERTIFICATE',
  );
  const key = blocksOf(keyText, 'PRIVATE KEY').find(({ type }) => Object.hasOwn(KEY_TYPES, type));
  const [leaf] = certificates;
  if (leaf === undefined || key === undefined) return undefined;
  const pair = attempt(() => {
    const type = KEY_TYPES[key.type] as 'pkcs1' | 'pkcs8' | 'sec1';
    const privateKey = createPrivateKey({ key: key.bytes, format: 'der', type });
    if (!new X509Certificate(leaf.bytes).checkPrivateKey(privateKey)) return null;
    return fields({
      Certificate: certificates.map(({ bytes }) => bytes.toString('base64')),
      Leaf: new Map([...certificateFields(leaf.bytes)].filter(([name]) => name !== 'URIStrings')),
      OCSPStaple: null,
      PrivateKey: keyFields(jwkOf(key)),
      SignedCertificateTimestamps: null,
      SupportedSignatureAlgorithms: null,
    });
  });
  return pair ?? undefined;
});

export const X509_BUILTINS: Readonly<Record<string, Builtin>> = {
  'crypto.parse_private_keys': parsePrivateKeys,
  'crypto.x509.parse_and_verify_certificates': verifyCertificates,
  'crypto.x509.parse_and_verify_certificates_with_options': verifyWithOptions,
  'crypto.x509.parse_certificate_request': parseRequest,
  'crypto.x509.parse_certificates': parseCertificates,
  'crypto.x509.parse_keypair': parseKeyPair,
  'crypto.x509.parse_rsa_private_key': jwkFromPrivateKey,
};
