/**
 * What every special block of IP addresses is for: the IANA registries of special-purpose IPv4 and IPv6 addresses, the
 * addresses at which clouds answer metadata, and the places where an IPv6 address carries an IPv4 one. The first row
 * that holds an address names its class. Pure.
 */

export type IpClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link_local'
  | 'site_local'
  | 'shared'
  | 'metadata'
  | 'multicast'
  | 'broadcast'
  | 'documentation'
  | 'benchmark'
  | 'reserved'
  | 'embedded'
  | 'unspecified'
  | 'invalid';

/** Classes that no configuration opens. Link-local holds nothing but the node and its cloud. */
export const NEVER_OPENED: ReadonlySet<IpClass> = new Set<IpClass>([
  'metadata',
  'link_local',
  'multicast',
  'broadcast',
  'unspecified',
  'invalid',
]);

/** Metadata, credentials, wire server, time and DNS of clouds and nodes. */
const METADATA: readonly string[] = [
  // AWS, Azure, Google, OpenStack, Oracle, DigitalOcean, Hetzner and others
  '169.254.169.254/32',
  // AWS: DNS, time, licences, credentials of ECS tasks and EKS pods
  '169.254.169.253/32',
  '169.254.169.123/32',
  '169.254.169.250/31',
  '169.254.170.2/32',
  '169.254.170.23/32',
  'fd00:ec2::/32',
  // Azure wire server
  '168.63.129.16/32',
  // Alibaba: metadata, DNS
  '100.100.100.200/32',
  '100.100.2.136/32',
  '100.100.2.138/32',
  // Volcano Engine
  '100.96.0.96/32',
  // Oracle classic, Oracle
  '192.0.0.192/32',
  'fd00:c1::a9fe:a9fe/128',
  // Google
  'fd20:ce::254/128',
  // Tencent
  '169.254.0.23/32',
  '169.254.10.10/32',
  // Scaleway
  '169.254.42.42/32',
  'fd00:42::42/128',
  // Linode
  'fd00:a9fe:a9fe::1/128',
  // OpenStack
  'fe80::a9fe:a9fe/128',
  // DNS of a Kubernetes node
  '169.254.20.10/32',
  '169.254.25.10/32',
];

export const SPECIAL_BLOCKS: readonly (readonly [cidr: string, ipClass: IpClass])[] = [
  ...METADATA.map((cidr) => [cidr, 'metadata'] as const),
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link_local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  // AS112, AMT and the retired 6to4 relays: reachable everywhere, and no tool lives there
  ['192.31.196.0/24', 'reserved'],
  ['192.52.193.0/24', 'reserved'],
  ['192.88.99.0/24', 'reserved'],
  ['192.168.0.0/16', 'private'],
  ['192.175.48.0/24', 'reserved'],
  ['198.18.0.0/15', 'benchmark'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['255.255.255.255/32', 'broadcast'],
  ['240.0.0.0/4', 'reserved'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['2001:2::/48', 'benchmark'],
  ['2001:db8::/32', 'documentation'],
  ['2001::/23', 'reserved'],
  ['2620:4f:8000::/48', 'reserved'],
  ['3fff::/20', 'documentation'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link_local'],
  ['fec0::/10', 'site_local'],
  ['ff00::/8', 'multicast'],
];

/** The only IPv6 block that is handed out for the public internet. */
export const GLOBAL_UNICAST = '2000::/3';

/** IPv6 blocks whose addresses carry an IPv4 address: at which bytes, and whether its bits are inverted. */
export interface Embedding {
  readonly cidr: string;
  /** Every reading; the IPv4 bytes in order. An address may be read in several ways, and the worst one counts. */
  readonly readings: readonly (readonly [number, number, number, number])[];
  /** Teredo hides the client's address by inverting it. */
  readonly inverted?: readonly [number, number, number, number];
}

const LAST_FOUR = [12, 13, 14, 15] as const;

export const EMBEDDINGS: readonly Embedding[] = [
  // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291, RFC 2765)
  { cidr: '::/96', readings: [LAST_FOUR] },
  { cidr: '::ffff:0:0/96', readings: [LAST_FOUR] },
  { cidr: '::ffff:0:0:0/96', readings: [LAST_FOUR] },
  // NAT64: well-known and local-use prefix; the latter in each length of RFC 6052 that fits
  { cidr: '64:ff9b::/96', readings: [LAST_FOUR] },
  {
    cidr: '64:ff9b:1::/48',
    readings: [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], LAST_FOUR],
  },
  // 6to4 (RFC 3056)
  { cidr: '2002::/16', readings: [[2, 3, 4, 5]] },
  // Teredo (RFC 4380): server, and client behind its NAT
  { cidr: '2001::/32', readings: [[4, 5, 6, 7]], inverted: LAST_FOUR },
];

/** ISATAP (RFC 5214): the interface identifier says that the last four bytes are an IPv4 address, under any prefix. */
export const ISATAP_IDENTIFIERS: readonly (readonly [number, number, number, number])[] = [
  [0x00, 0x00, 0x5e, 0xfe],
  [0x02, 0x00, 0x5e, 0xfe],
];
