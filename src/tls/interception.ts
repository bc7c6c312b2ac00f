/**
 * TLS interception of one process: the authority that signs now, its successor, and the files that make both known.
 * Halfway through an authority's life the next one is made and published; the older one signs until shortly before its
 * end. So whatever read the files at its start can be served for at least half of `validHours`, without a break.
 * Shell: owns the authorities, the trust directory's files and a timer.
 */
import type { SecureContext } from 'node:tls';
import { type CertificateAuthority, createCertificateAuthority } from './certificate-authority.ts';
import { createLeafCache } from './leaf-cache.ts';
import { permitsHost } from './name-constraints.ts';
import { writeTrust } from './trust.ts';

export interface InterceptionOptions {
  readonly trustDirectory: string;
  /** Public roots for the bundle, PEM. */
  readonly roots: readonly string[];
  /** What the authority may vouch for; none means every host. */
  readonly names: readonly string[];
  readonly validHours: number;
  readonly leavesMax: number;
  /** Milliseconds since 1970. Default: the clock of the machine. */
  readonly nowMs?: () => number;
  /** The next authority could not be made or published; it is tried again within a minute. */
  readonly onFailure: (error: unknown) => void;
}

export interface Interception {
  /**
   * A certificate for the host with its key.
   * @returns rejects with NotPermitted when `permits` says no, with TrustError when no authority could be published.
   */
  contextFor(host: string): Promise<SecureContext>;
  /** False for hosts that the authority may not vouch for: `call.bad_server_name`. */
  permits(host: string): boolean;
  /** The certificates in `ca.crt`, the one that signs first. */
  authorities(): readonly string[];
  /** Makes and publishes the next authority when it is time; the timer does the same every minute. */
  renew(): Promise<void>;
  close(): void;
}

const HOUR_MS = 3_600_000;
const RENEWAL_INTERVAL_MS = 60_000;
/** An authority stops signing this long before its end, so that no handshake meets a certificate on its last breath. */
const LAST_SIGNATURE_MS = 10 * 60_000;
const PUBLISHED_MAX = 4;

/** Makes the first authority and publishes it: rejects with TrustError when its files cannot be written. */
export async function startInterception(options: InterceptionOptions): Promise<Interception> {
  const { trustDirectory, names, validHours, leavesMax, roots } = options;
  const nowMs = options.nowMs ?? Date.now;
  let authorities: readonly CertificateAuthority[] = [];
  let renewing: Promise<void> | null = null;

  const renewOnce = async () => {
    const now = nowMs();
    const valid = authorities.filter((authority) => isValid(authority, now));
    if (!isDue(valid, validHours, now)) return;
    const next = await createCertificateAuthority({ names, validHours, nowMs: now });
    const published = [...valid, next].slice(-PUBLISHED_MAX);
    // Known to the agent before it signs anything.
    await writeTrust(
      trustDirectory,
      published.map(({ certificatePem }) => certificatePem),
      roots,
    );
    authorities = published;
  };
  const renew = () => {
    renewing ??= renewOnce().finally(() => {
      renewing = null;
    });
    return renewing;
  };
  const signing = async () => {
    const found = signer(authorities, nowMs());
    if (found !== undefined) return found;
    // The machine slept through the timer, or its clock jumped.
    await renew();
    const made = signer(authorities, nowMs());
    if (made === undefined) throw new Error('an authority that is not valid when it is made');
    return made;
  };

  await renew();
  const cache = createLeafCache({ leavesMax, authority: signing, nowMs });
  const timer = setInterval(() => {
    renew().catch(options.onFailure);
  }, RENEWAL_INTERVAL_MS);
  timer.unref();
  return {
    contextFor: (host) => cache.contextFor(host),
    permits: (host) => permitsHost(names, host),
    authorities: () => authorities.map(({ certificatePem }) => certificatePem),
    renew,
    close: () => clearInterval(timer),
  };
}

const signer = (authorities: readonly CertificateAuthority[], nowMs: number) =>
  authorities.find((authority) => isValid(authority, nowMs));

const isValid = ({ notBeforeMs, notAfterMs }: CertificateAuthority, nowMs: number) =>
  notBeforeMs <= nowMs && nowMs < notAfterMs - LAST_SIGNATURE_MS;

function isDue(valid: readonly CertificateAuthority[], validHours: number, nowMs: number): boolean {
  const newest = valid.at(-1);
  return newest === undefined || nowMs >= newest.createdMs + (validHours * HOUR_MS) / 2;
}
