/**
 * The kernel's half of the fence, as one nftables transaction for one pod. Captured ports and DNS are led to the
 * sidecar, which alone may go out; everything else is refused, in both families. The rules trust the user id of the
 * sidecar and nothing that a process without NET_ADMIN, or without the right to become that user, can set. Pure.
 */
import type { Config } from '../config/schema.ts';

export interface FencePlan {
  /** User id of the sidecar. */
  readonly uid: number;
  /** TCP port that is dialled to port that listens. */
  readonly ports: readonly (readonly [dialled: number, listen: number])[];
  readonly dnsPort: number;
  /** Local ports that may answer connections from outside. */
  readonly inboundPorts: readonly number[];
  /** First and last source port from which the sidecar is treated like the agent. */
  readonly probePorts: readonly [number, number];
}

/** Tables of ours: nothing else is ever touched. */
export const TABLE = 'inet egret';
export const EGRESS_TABLE = 'netdev egret';

/** Marks connections the sidecar began, for the kernel's own last packets on them, which have no user. */
const MARK = '0x65677265';

/** @returns a plan, or what is wrong: the path in the configuration, what was found and what was expected. */
export function planOf(
  config: Pick<Config, 'capture'>,
):
  | { readonly ok: true; readonly plan: FencePlan }
  | { readonly ok: false; readonly error: string } {
  const { capture } = config;
  if (capture === undefined) {
    return { ok: false, error: 'capture: found nothing, expected the ports to capture' };
  }
  const ports = Object.entries(capture.ports).map(([from, to]) => [Number(from), to] as const);
  const free = ports.find(([, listen]) => listen === 0);
  if (free !== undefined) {
    return { ok: false, error: `capture.ports.${free[0]}: found 0, expected the port itself` };
  }
  if (capture.dns.port === 0) {
    return { ok: false, error: 'capture.dns.port: found 0, expected the port itself' };
  }
  const { uid, inboundPorts, probe } = capture;
  return {
    ok: true,
    plan: { uid, ports, dnsPort: capture.dns.port, inboundPorts, probePorts: probe.sourcePorts },
  };
}

/**
 * The whole ruleset. Applied by one `nft -f`, it takes the place of an older one at once, without a moment in between.
 * @param devices network devices besides loopback on which packets that were never routed (AF_PACKET) are refused, too;
 * none leaves that part out.
 */
export function renderRuleset(plan: FencePlan, devices: readonly string[]): string {
  const tables = [renderFence(plan)];
  if (devices.length > 0) tables.push(renderEgress(plan, devices));
  return `${tables.join('\n')}`;
}

function renderFence(plan: FencePlan): string {
  const { uid, dnsPort, inboundPorts } = plan;
  const [first, last] = plan.probePorts;
  const map = plan.ports.map(([dialled, listen]) => `${dialled} : ${listen}`).join(', ');
  const dialled = plan.ports.map(([port]) => port).join(', ');
  const sidecar = (protocol: 'tcp' | 'udp') =>
    `meta skuid ${uid} ${protocol} sport != ${first}-${last}`;
  const redirect =
    plan.ports.length === 0
      ? []
      : [`tcp dport { ${dialled} } redirect to :tcp dport map { ${map} }`];
  const inbound =
    inboundPorts.length === 0
      ? []
      : [`tcp sport { ${inboundPorts.join(', ')} } ct state established ct direction reply accept`];
  return `table ${TABLE}
delete table ${TABLE}
table ${TABLE} {
${chain('capture', 'type nat hook output priority -100; policy accept;', [
  `${sidecar('tcp')} return`,
  `${sidecar('udp')} return`,
  'fib daddr type local return',
  ...redirect,
  `udp dport 53 redirect to :${dnsPort}`,
  `tcp dport 53 redirect to :${dnsPort}`,
])}
${chain('fence', 'type filter hook output priority 0; policy drop;', [
  `${sidecar('tcp')} ct mark set ${MARK} accept`,
  `${sidecar('udp')} ct mark set ${MARK} accept`,
  'ct state invalid drop',
  'oifname "lo" fib daddr type local accept',
  'ct status dnat ip daddr 127.0.0.0/8 accept',
  'ct status dnat ip6 daddr ::1 accept',
  ...inbound,
  'meta skuid 0-4294967295 jump refused',
  `ct mark ${MARK} accept`,
  'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept',
  'jump refused',
])}
${chain('transit', 'type filter hook forward priority 0; policy drop;', [])}
${chain('refused', null, ['counter', 'meta l4proto tcp reject with tcp reset', 'reject with icmpx admin-prohibited'])}
}
`;
}

/** Packets of packet sockets meet no other hook. What the kernel sends itself has no user and passes. */
function renderEgress({ uid, inboundPorts }: FencePlan, devices: readonly string[]): string {
  const inbound =
    inboundPorts.length === 0 ? [] : [`tcp sport { ${inboundPorts.join(', ')} } accept`];
  const chains = devices.map((device, index) =>
    chain(
      `egress${index}`,
      `type filter hook egress device "${device}" priority 0; policy accept;`,
      [`meta skuid ${uid} accept`, ...inbound, 'meta skuid 0-4294967295 counter drop'],
    ),
  );
  return `table ${EGRESS_TABLE}
delete table ${EGRESS_TABLE}
table ${EGRESS_TABLE} {
${chains.join('\n')}
}
`;
}

function chain(name: string, hook: string | null, rules: readonly string[]): string {
  const lines = hook === null ? rules : [hook, ...rules];
  return `  chain ${name} {\n${lines.map((line) => `    ${line}\n`).join('')}  }`;
}

/** Takes both tables away, whether they are there or not. */
export const REMOVAL = [TABLE, EGRESS_TABLE]
  .map((table) => `table ${table}\ndelete table ${table}\n`)
  .join('');
