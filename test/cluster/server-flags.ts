/** Keys, certificates and flags of the programs of a control plane. Shell: writes files. */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Authority, createAuthority, type KeyPair } from './authority.ts';

export interface ServerOptions {
  /** A duration of Go, how often the server compacts etcd by itself; default `0s`, never. */
  readonly etcdCompactionInterval?: string;
  /** Whether the server answers watches from its memory; default true, as everywhere. */
  readonly watchCache?: boolean;
  /** More flags of kube-apiserver, without dashes. */
  readonly apiserverFlags?: Readonly<Record<string, string>>;
}

export type Flags = Readonly<Record<string, string>>;

export interface Secrets {
  /** Vouches for the API server and for its clients. */
  readonly authority: Authority;
  readonly etcdAuthority: Authority;
  /** For etcd itself and for its clients. */
  readonly etcdPair: KeyPair;
  /** Where a file of a name is. */
  file(name: FileName): string;
}

type FileName =
  | 'ca.crt'
  | 'apiserver.crt'
  | 'apiserver.key'
  | 'etcd-ca.crt'
  | 'etcd.crt'
  | 'etcd.key'
  | 'service-account.key'
  | 'service-account.pub';

export const LOOPBACK = '127.0.0.1';
const ISSUER = 'https://kubernetes.default.svc';
const SERVICES = '10.96.0.0/16';
/** The address of the `kubernetes` service: the first of the range. */
const SERVICE_ADDRESS = '10.96.0.1';

export async function writeSecrets(directory: string): Promise<Secrets> {
  const authority = await createAuthority('test-api');
  // Its own, so that a client of the API server is not one of its store.
  const etcdAuthority = await createAuthority('test-etcd');
  const etcdPair = await etcdAuthority.issue({ commonName: 'etcd', addresses: [LOOPBACK] });
  const apiserver = await authority.issue({
    commonName: 'kube-apiserver',
    names: ['localhost', 'kubernetes.default.svc'],
    addresses: [LOOPBACK, SERVICE_ADDRESS],
  });
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const contents: Record<FileName, string | Buffer> = {
    'ca.crt': authority.certificatePem,
    'apiserver.crt': apiserver.certificatePem,
    'apiserver.key': apiserver.keyPem,
    'etcd-ca.crt': etcdAuthority.certificatePem,
    'etcd.crt': etcdPair.certificatePem,
    'etcd.key': etcdPair.keyPem,
    'service-account.key': accounts.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'service-account.pub': accounts.publicKey.export({ type: 'spki', format: 'pem' }),
  };
  for (const [name, content] of Object.entries(contents)) {
    writeFileSync(join(directory, name), content, { mode: 0o600 });
  }
  return { authority, etcdAuthority, etcdPair, file: (name) => join(directory, name) };
}

export function etcdFlags({ file }: Secrets, url: string, peerUrl: string): Flags {
  return {
    'data-dir': 'etcd',
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'cert-file': file('etcd.crt'),
    'key-file': file('etcd.key'),
    'trusted-ca-file': file('etcd-ca.crt'),
    'client-cert-auth': 'true',
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    'peer-cert-file': file('etcd.crt'),
    'peer-key-file': file('etcd.key'),
    'peer-trusted-ca-file': file('etcd-ca.crt'),
    'peer-client-cert-auth': 'true',
    // Nothing here outlives the test.
    'unsafe-no-fsync': 'true',
  };
}

export function apiserverFlags(
  { file }: Secrets,
  etcdUrl: string,
  port: number,
  options: ServerOptions,
): Flags {
  return {
    'bind-address': LOOPBACK,
    'advertise-address': LOOPBACK,
    'secure-port': String(port),
    // It would refuse a loopback address as an endpoint, again and again.
    'endpoint-reconciler-type': 'none',
    'tls-cert-file': file('apiserver.crt'),
    'tls-private-key-file': file('apiserver.key'),
    'client-ca-file': file('ca.crt'),
    'etcd-servers': etcdUrl,
    'etcd-cafile': file('etcd-ca.crt'),
    'etcd-certfile': file('etcd.crt'),
    'etcd-keyfile': file('etcd.key'),
    'etcd-compaction-interval': options.etcdCompactionInterval ?? '0s',
    'watch-cache': String(options.watchCache ?? true),
    'authorization-mode': 'RBAC',
    'service-account-issuer': ISSUER,
    'service-account-key-file': file('service-account.pub'),
    'service-account-signing-key-file': file('service-account.key'),
    'service-cluster-ip-range': SERVICES,
    ...options.apiserverFlags,
  };
}

export function managerFlags({ file }: Secrets, kubeconfig: string): Flags {
  return {
    kubeconfig,
    'secure-port': '0',
    'leader-elect': 'false',
    // Each controller has only its own rights, as in a cluster.
    'use-service-account-credentials': 'true',
    'service-account-private-key-file': file('service-account.key'),
    'root-ca-file': file('ca.crt'),
  };
}
