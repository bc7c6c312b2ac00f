/**
 * A certificate authority of this process: a P-256 key that is made here, cannot be exported and is gone with the
 * process, its certificate, and the leaves it signs for names the agent asks for. One key serves all leaves of an
 * authority: it lies in the same memory, so a key for each would protect nothing and cost time at every new name.
 * Shell: owns the keys.
 */
import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type { Extension, PublicKey } from '@peculiar/x509';
import { encodeNameConstraints, permitsHost } from './name-constraints.ts';

export interface AuthorityOptions {
  /** What it may vouch for: host names and `*.` patterns; none means every host. */
  readonly names: readonly string[];
  readonly validHours: number;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

export interface Leaf {
  readonly certificatePem: string;
  /** PKCS #8. Never written anywhere: OpenSSL takes keys only as text. */
  readonly keyPem: string;
  /** Milliseconds since 1970. */
  readonly notAfterMs: number;
}

export interface CertificateAuthority {
  readonly certificatePem: string;
  /** Milliseconds since 1970; the certificate is valid from some minutes before to `notAfterMs`. */
  readonly createdMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /**
   * A certificate for exactly this host, a name or an address.
   * @throws NotPermitted when the authority may not vouch for it; nothing is signed then.
   */
  issue(host: string, nowMs: number): Promise<Leaf>;
}

export class NotPermitted extends Error {
  override readonly name = 'NotPermitted';
}

const HOUR_MS = 3_600_000;
const SECOND_MS = 1000;
/** Agents of another pod or machine may have a clock that is late. */
const BACKDATED_MS = 5 * 60 * SECOND_MS;
const LEAF_HOURS_MAX = 24;
const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
const NAME_CONSTRAINTS = '2.5.29.30';

/** Loaded only when somebody intercepts: it costs memory and start time. */
async function library() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

type Library = Awaited<ReturnType<typeof library>>;

/** Rejects only when the random generator or the library fails. */
export async function createCertificateAuthority(
  options: AuthorityOptions,
): Promise<CertificateAuthority> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(KEY, false, ['sign', 'verify']);
  const leafKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = leafKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const leafKey = new x509.PublicKey(leafKeys.publicKey.export({ type: 'spki', format: 'der' }));
  const common = await commonExtensions(x509, leafKey, keys.publicKey);
  const subject = `CN=Egret authority ${randomBytes(8).toString('hex')}, O=Egret`;
  const { notBefore, notAfter } = validity(options.nowMs, options.validHours * HOUR_MS);
  const certificate = await x509.X509CertificateGenerator.create({
    ...numbered(notBefore, notAfter),
    subject,
    issuer: subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: await authorityExtensions(x509, keys.publicKey, options.names),
  });
  return {
    certificatePem: pem(certificate.toString('pem')),
    createdMs: options.nowMs,
    notBeforeMs: notBefore.getTime(),
    notAfterMs: notAfter.getTime(),
    async issue(host, nowMs) {
      if (!permitsHost(options.names, host)) throw new NotPermitted('not among the names');
      const life = validity(nowMs, LEAF_HOURS_MAX * HOUR_MS);
      const until = new Date(Math.min(life.notAfter.getTime(), notAfter.getTime()));
      const leaf = await x509.X509CertificateGenerator.create({
        ...numbered(life.notBefore, until),
        // No common name: what is vouched for stands in the alternative names alone (RFC 9525).
        subject: 'O=Egret interception',
        issuer: subject,
        publicKey: leafKey,
        signingKey: keys.privateKey,
        extensions: [alternativeName(x509, host), ...common],
      });
      return {
        certificatePem: pem(leaf.toString('pem')),
        keyPem,
        notAfterMs: until.getTime(),
      };
    },
  };
}

function validity(nowMs: number, lifeMs: number): { notBefore: Date; notAfter: Date } {
  // X.509 knows whole seconds.
  const fromMs = Math.floor(nowMs / SECOND_MS) * SECOND_MS;
  return { notBefore: new Date(fromMs - BACKDATED_MS), notAfter: new Date(fromMs + lifeMs) };
}

function numbered(notBefore: Date, notAfter: Date) {
  // 126 random bits, positive and never zero (RFC 5280 section 4.1.2.2).
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return {
    serialNumber: serial.toString('hex'),
    notBefore,
    notAfter,
    signingAlgorithm: SIGNATURE,
  };
}

async function authorityExtensions(
  x509: Library,
  key: webcrypto.CryptoKey,
  names: readonly string[],
): Promise<Extension[]> {
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const constraints = encodeNameConstraints(names);
  return [
    new x509.BasicConstraintsExtension(true, 0, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth], false),
    await x509.SubjectKeyIdentifierExtension.create(key, false),
    await x509.AuthorityKeyIdentifierExtension.create(key, false),
    ...(constraints === null ? [] : [new x509.Extension(NAME_CONSTRAINTS, true, constraints)]),
  ];
}

function alternativeName(x509: Library, host: string): Extension {
  const type = isIP(host) === 0 ? 'dns' : 'ip';
  return new x509.SubjectAlternativeNameExtension([{ type, value: host }], false);
}

/** What all leaves of an authority have in common. */
async function commonExtensions(
  x509: Library,
  leafKey: PublicKey,
  issuerKey: webcrypto.CryptoKey,
): Promise<Extension[]> {
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth], false),
    await x509.SubjectKeyIdentifierExtension.create(leafKey, false),
    await x509.AuthorityKeyIdentifierExtension.create(issuerKey, false),
  ];
}

/** One certificate with one line break at its end. */
const pem = (text: string) => `${text.replaceAll('\r', '').trim()}\n`;
