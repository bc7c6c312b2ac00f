/**
 * Certificates as a PKCS #12 file that Java takes for a trust store: no password, no encryption and no MAC, since all of
 * it is public (RFC 7292; trusted by Oracle's attribute trustedKeyUsage, without which Java ignores an entry). Pure.
 */
import {
  bmpString,
  constructed,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
} from './der.ts';

const DATA = objectIdentifier('1.2.840.113549.1.7.1');
const CERTIFICATE_BAG = objectIdentifier('1.2.840.113549.1.12.10.1.3');
const X509_CERTIFICATE = objectIdentifier('1.2.840.113549.1.9.22.1');
const FRIENDLY_NAME = objectIdentifier('1.2.840.113549.1.9.20');
const TRUSTED_KEY_USAGE = objectIdentifier('2.16.840.1.113894.746875.1.1');
const ANY_KEY_USAGE = objectIdentifier('2.5.29.37.0');

/** @param certificates DER of each. */
export function renderJavaTrustStore(certificates: readonly Uint8Array[]): Uint8Array {
  const bags = certificates.map((der, at) => certificateBag(der, `root-${at}`));
  return sequence(smallInteger(3), data(sequence(data(sequence(...bags)))));
}

const data = (content: Uint8Array) => sequence(DATA, constructed(0, octetString(content)));

function certificateBag(der: Uint8Array, alias: string): Uint8Array {
  const certificate = sequence(X509_CERTIFICATE, constructed(0, octetString(der)));
  // Java keeps one entry per alias.
  const name = sequence(FRIENDLY_NAME, setOf(bmpString(alias)));
  const trusted = sequence(TRUSTED_KEY_USAGE, setOf(ANY_KEY_USAGE));
  return sequence(CERTIFICATE_BAG, constructed(0, certificate), setOf(name, trusted));
}
