/**
 * Certificates for the names agents ask for, ready to shake hands with. At most `leavesMax` are kept, the one unused
 * longest goes first; one mint per name at a time, however many connections wait for it; nothing is used in the
 * last half of its life. Shell: owns the TLS contexts.
 */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { CertificateAuthority } from './certificate-authority.ts';

export interface LeafCacheOptions {
  readonly leavesMax: number;
  /** The authority that signs now; when it changes, so do the leaves. */
  readonly authority: () => Promise<CertificateAuthority>;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
}

export interface LeafCache {
  /**
   * @param host a name in lower case or an address, as `parseAuthority` writes them.
   * @returns rejects with NotPermitted when the authority may not vouch for the host.
   */
  contextFor(host: string): Promise<SecureContext>;
  /** Names with a certificate now, or one under way. */
  readonly size: number;
}

interface Entry {
  readonly context: Promise<SecureContext>;
  readonly authority: CertificateAuthority;
  readonly mintedMs: number;
  /** When it is minted anew; unknown while it is under way. */
  refreshMs: number;
}

export function createLeafCache({ leavesMax, authority, nowMs }: LeafCacheOptions): LeafCache {
  const entries = new Map<string, Entry>();
  return {
    get size() {
      return entries.size;
    },
    async contextFor(host) {
      const signer = await authority();
      const now = nowMs();
      const known = entries.get(host);
      // A clock that went back would make a leaf of the future out of a good one.
      const fresh = known?.authority === signer && known.mintedMs <= now && now < known.refreshMs;
      entries.delete(host);
      const entry = known !== undefined && fresh ? known : mint(signer, host, now);
      entries.set(host, entry);
      evict(entries, leavesMax);
      try {
        return await entry.context;
      } catch (error) {
        if (entries.get(host) === entry) entries.delete(host);
        throw error;
      }
    },
  };
}

function mint(authority: CertificateAuthority, host: string, nowMs: number): Entry {
  const entry: Entry = {
    authority,
    mintedMs: nowMs,
    refreshMs: Number.POSITIVE_INFINITY,
    context: authority.issue(host, nowMs).then((leaf) => {
      entry.refreshMs = nowMs + (leaf.notAfterMs - nowMs) / 2;
      return serverContext(leaf.certificatePem, leaf.keyPem, authority.certificatePem);
    }),
  };
  return entry;
}

function evict(entries: Map<string, Entry>, leavesMax: number): void {
  for (const host of entries.keys()) {
    if (entries.size <= leavesMax) return;
    entries.delete(host);
  }
}

/**
 * TLS 1.2 with forward secrecy and authenticated encryption only, or TLS 1.3. No tickets: a session of one name must
 * not open a connection for another.
 */
function serverContext(cert: string, key: string, ca: string): SecureContext {
  return createSecureContext({
    cert,
    key,
    // Instead of a store with every public root, which a server that asks for no certificate never reads.
    ca,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: 'X25519:P-256:P-384',
    honorCipherOrder: true,
    sessionIdContext: 'egret',
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
}

const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':');
