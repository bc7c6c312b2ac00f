/**
 * The addresses of this machine's interfaces, so that no call leads back into the pod it came from.
 * Shell: asks the kernel, at most once a second.
 */
import { networkInterfaces } from 'node:os';
import { parseAddress } from './address.ts';

/** An address that was given to the machine this long ago at most may be missing. */
const FRESH_MS = 1000;

/** @returns a function that gives the addresses, four or sixteen bytes each. */
export function ownAddressSource(nowMs: () => number): () => readonly Uint8Array[] {
  let readAtMs = Number.NEGATIVE_INFINITY;
  let known: readonly Uint8Array[] = [];
  return () => {
    const now = nowMs();
    if (now - readAtMs >= FRESH_MS) {
      known = readAddresses();
      readAtMs = now;
    }
    return known;
  };
}

function readAddresses(): Uint8Array[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => parseAddress(address.replace(/%.*$/, '')))
    .filter((bytes) => bytes !== null);
}
