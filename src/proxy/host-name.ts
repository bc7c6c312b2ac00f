/**
 * Which names are asked for at all. A name of the public tree may be; a name that only a local network knows must lead
 * into a block that the operator opened; the machine itself and cloud metadata have names that are never asked for.
 * Pure.
 */

export type NameClass =
  /** A name of the public tree. */
  | 'public'
  /** A name of a private network or of the cluster. */
  | 'private'
  /** The machine itself, or a name whose meaning hangs on the search list of whoever asks. */
  | 'local'
  /** A metadata service of a cloud. */
  | 'metadata'
  /** A name that stands for nothing, by RFC 6761 and its kin. */
  | 'void';

/** Each name and every name below it. */
const METADATA = [
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.packet.net',
  'metadata.platformequinix.com',
  'metadata.tencentyun.com',
  'metadata.azure.internal',
  'metadata.azure.com',
  'metadata.hetzner.cloud',
  'metadata.ec2.internal',
  'metadata.internal',
  'rancher-metadata',
];

const LOCAL = [
  'localhost',
  'localdomain',
  'ip6-localhost',
  'ip6-loopback',
  'broadcasthost',
  'host.docker.internal',
  'gateway.docker.internal',
  'kubernetes.docker.internal',
  'host.containers.internal',
  'host.minikube.internal',
  'host.lima.internal',
];

/** Special-use, private-use and customary suffixes of networks that the public tree does not hold. */
const PRIVATE = [
  'internal',
  'local',
  'svc',
  'cluster.local',
  'kubernetes.default',
  'home.arpa',
  'home',
  'corp',
  'lan',
  'intranet',
  'intra',
  'private',
  'mail',
  'test',
];

const VOID = ['invalid', 'onion', 'alt', 'in-addr.arpa', 'ip6.arpa'];

const TABLE: ReadonlyMap<string, NameClass> = new Map([
  ...VOID.map((name) => [name, 'void'] as const),
  ...PRIVATE.map((name) => [name, 'private'] as const),
  ...LOCAL.map((name) => [name, 'local'] as const),
  ...METADATA.map((name) => [name, 'metadata'] as const),
]);

/**
 * The longest suffix in the table decides.
 * @param host in normal form: lower case, no trailing dot.
 */
export function classifyName(host: string): NameClass {
  for (let at = 0; at !== -1; ) {
    const known = TABLE.get(host.slice(at));
    if (known !== undefined) return known;
    const dot = host.indexOf('.', at);
    at = dot === -1 ? -1 : dot + 1;
  }
  return host.includes('.') ? 'public' : 'local';
}
