/**
 * What a certificate authority may vouch for: as a test on host names, and as the X.509 extension (RFC 5280 section
 * 4.2.1.10) by which clients check it for themselves. The extension cannot tell `example.com` from the names below it,
 * so it permits both; the test here is exact. Pure.
 */
import { constructed, implicit, sequence } from './der.ts';

const DNS_NAME = 2;
const IP_ADDRESS = 7;
const PERMITTED = 0;
const EXCLUDED = 1;
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

/** Every address of a family: its network and mask are zero. */
const ALL_IPV4 = new Uint8Array(8);
const ALL_IPV6 = new Uint8Array(32);

/**
 * @param names host names, `*.name` for all names below one, or IPv4 addresses; none permits every host.
 * @param host lower case, as `parseAuthority` writes it.
 */
export function permitsHost(names: readonly string[], host: string): boolean {
  if (names.length === 0) return true;
  return names.some((name) => (name.startsWith('*.') ? isBelow(name, host) : name === host));
}

const isBelow = (pattern: string, host: string) =>
  !IPV4.test(host) && !host.includes(':') && host.endsWith(pattern.slice(1));

/** The content of the extension; null when every host is permitted. */
export function encodeNameConstraints(names: readonly string[]): Uint8Array | null {
  if (names.length === 0) return null;
  const addresses = names.filter((name) => IPV4.test(name));
  const hosts = names.filter((name) => !IPV4.test(name)).map((name) => name.replace(/^\*\./, ''));
  // A type that occurs nowhere is not constrained at all, so the ones not wanted are named here.
  const permitted = [...new Set(hosts)].map((host) => dnsName(host));
  for (const address of addresses) {
    permitted.push(ipAddress(Uint8Array.of(...address.split('.').map(Number), 255, 255, 255, 255)));
  }
  const excluded = addresses.length === 0 ? [ipAddress(ALL_IPV4), ipAddress(ALL_IPV6)] : [];
  if (hosts.length === 0) excluded.push(dnsName(''));
  return sequence(
    constructed(PERMITTED, ...permitted),
    ...(excluded.length === 0 ? [] : [constructed(EXCLUDED, ...excluded)]),
  );
}

const dnsName = (host: string) => sequence(implicit(DNS_NAME, Buffer.from(host, 'latin1')));
const ipAddress = (bytes: Uint8Array) => sequence(implicit(IP_ADDRESS, bytes));
