/**
 * A certificate authority for one control plane: it vouches for servers on loopback and for the users and groups of
 * clients, as Kubernetes reads them from a subject. Keys are files of the test's directory, since the programs take
 * nothing else. Shell: owns the signing key.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export interface Subject {
  /** The user, for the API server. */
  readonly commonName: string;
  /** The groups, for the API server. */
  readonly organizations?: readonly string[];
  /** For a certificate that servers use, too. */
  readonly names?: readonly string[];
  readonly addresses?: readonly string[];
}

export interface KeyPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface Authority {
  readonly certificatePem: string;
  issue(subject: Subject): Promise<KeyPair>;
}

const DAY_MS = 86_400_000;
const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

export async function createAuthority(name: string): Promise<Authority> {
  const keys = await newKeys();
  const issuer: x509.JsonName = [{ CN: [name] }];
  const { keyCertSign, digitalSignature } = x509.KeyUsageFlags;
  const certificate = await x509.X509CertificateGenerator.create({
    ...terms(),
    subject: issuer,
    issuer,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificatePem: certificate.toString('pem'),
    async issue({ commonName, organizations = [], names = [], addresses = [] }) {
      const leafKeys = await newKeys();
      const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
      const serves = names.length + addresses.length > 0;
      const alternative = [
        ...names.map((value) => ({ type: 'dns', value }) as const),
        ...addresses.map((value) => ({ type: 'ip', value }) as const),
      ];
      const leaf = await x509.X509CertificateGenerator.create({
        ...terms(),
        subject: [{ CN: [commonName] }, ...organizations.map((one) => ({ O: [one] }))],
        issuer,
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(digitalSignature, true),
          // etcd's JSON gateway is a client of etcd itself, with the certificate of the server.
          new x509.ExtendedKeyUsageExtension(serves ? [serverAuth, clientAuth] : [clientAuth]),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
          ...(serves ? [new x509.SubjectAlternativeNameExtension(alternative)] : []),
        ],
      });
      return { certificatePem: leaf.toString('pem'), keyPem: await privatePem(leafKeys) };
    },
  };
}

const newKeys = () => webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);

/** A number that is positive and never zero, and a life that outlasts every test. */
function terms() {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return {
    serialNumber: serial.toString('hex'),
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    signingAlgorithm: SIGNATURE,
  };
}

async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const base64 = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----\n`;
}
