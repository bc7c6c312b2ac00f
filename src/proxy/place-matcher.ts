/**
 * Places as the configuration names them: `host:port`, the host a name, `*.name` for every name below it, or an address.
 * Pure.
 */
import { hostMatcher } from '../call/host-pattern.ts';

/** Tells whether a host in normal form and a port are one of the places. */
export function placeMatcher(places: Iterable<string>): (host: string, port: number) => boolean {
  const hostsAt = new Map<number, string[]>();
  for (const place of places) {
    const colon = place.lastIndexOf(':');
    const port = Number(place.slice(colon + 1));
    const host = place.slice(0, colon).replace(/^\[|\]$/g, '');
    hostsAt.set(port, [...(hostsAt.get(port) ?? []), host.toLowerCase()]);
  }
  const matchers = new Map([...hostsAt].map(([port, hosts]) => [port, hostMatcher(hosts)]));
  return (host, port) => matchers.get(port)?.(host) ?? false;
}
