/**
 * The part of the configuration that makes the fence: capture of the pod's traffic, TLS interception, and the way
 * out. The same fields drive `egret redirect` and the sidecar, so the rules and the listeners cannot disagree. Pure.
 */
import { z } from 'zod';

const positive = (max: number) => z.int().min(1).max(max);
const port = z.int().min(0).max(65_535);
const KiB = 1024;

/** A host name, or `*.` and a host name for every name below it. */
const HOST_PATTERN =
  /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const hostPattern = z
  .string()
  .max(255)
  .regex(HOST_PATTERN, 'expected a lower-case host name such as api.example.com or *.example.com');
const destination = z
  .string()
  .regex(/^[^\s/@]+:[1-9]\d{0,4}$/, 'expected HOST:PORT, the host a name or *.name');
const dnsServer = z
  .string()
  .regex(/^([0-9.]+|\[[0-9a-f:.]+\]):[1-9]\d{0,4}$/, 'expected ADDRESS:PORT, IPv6 in brackets');
const cidr = z.string().regex(/^[0-9a-f.:]+\/\d{1,3}$/, 'expected a CIDR block such as 10.0.0.0/8');

const tcpPortKey = z
  .string()
  .regex(/^[1-9]\d{0,4}$/, 'expected a TCP port')
  .refine((text) => Number(text) <= 65_535, 'expected a TCP port');

/** Port 0 is a different one each time. */
function listensOnce(ports: readonly number[]): boolean {
  const chosen = ports.filter((listen) => listen !== 0);
  return new Set(chosen).size === chosen.length;
}

const dns = z
  .strictObject({
    port: port
      .default(15_053)
      .describe('UDP and TCP port on the capture hosts, 0 picks a free one. Default 15053.'),
    names: z
      .array(hostPattern)
      .max(1024)
      .default([])
      .describe(
        'Names answered besides the hosts of the catalogue and of this file. Default none.',
      ),
    ipv4: z
      .ipv4()
      .default('198.18.0.1')
      .describe(
        'The one IPv4 address every name gets. Default 198.18.0.1; it leads into the redirect, never out.',
      ),
    ipv6: z
      .ipv6()
      .optional()
      .describe('The one IPv6 address every name gets. Default: names have no IPv6 address.'),
    ttlSeconds: positive(3600).default(60).describe('Seconds an answer may be kept. Default 60.'),
    queriesPerSecond: positive(100_000)
      .default(200)
      .describe(
        'Queries answered per second, twice as many at once. Default 200; others are refused.',
      ),
  })
  .prefault({})
  .describe('DNS toward the agent. No query of the agent is ever sent on.');

export const captureSchema = z
  .strictObject({
    hosts: z
      .array(z.enum(['127.0.0.1', '::1']))
      .min(1)
      .max(2)
      .default(['127.0.0.1', '::1'])
      .describe('Loopback addresses the redirect leads to. Default both.'),
    ports: z
      .record(tcpPortKey, port)
      .refine(
        (ports) => listensOnce(Object.values(ports)),
        'expected another port to listen on for each port that is dialled',
      )
      .default({ '80': 15_080, '443': 15_443 })
      .describe(
        'TCP port the agent dials to the port that listens for it; HTTP or TLS is recognised by the first byte. Default 80 to 15080, 443 to 15443.',
      ),
    dns,
    uid: z
      .int()
      .min(1)
      .max(4_294_967_293)
      .default(64_777)
      .describe(
        'User id of the sidecar, the only one that may go out. Default 64777. No other container may run as it.',
      ),
    inboundPorts: z
      .array(z.int().min(1).max(65_535))
      .max(64)
      .default([])
      .describe(
        'Local TCP ports of the pod that may answer connections from outside, besides the admin port. Default none.',
      ),
    probe: z
      .strictObject({
        sourcePorts: z
          .tuple([z.int().min(1024).max(65_535), z.int().min(1024).max(65_535)])
          .refine(([first, last]) => first <= last, 'expected the first port, then the last')
          .default([15_061, 15_068])
          .describe(
            'First and last source port from which the sidecar itself is treated like the agent, to try the fence. Default 15061 to 15068.',
          ),
        intervalMs: z
          .int()
          .min(100)
          .max(600_000)
          .default(10_000)
          .describe('Milliseconds between trials of the fence. Default 10000.'),
        ipv4: z
          .ipv4()
          .default('192.0.2.1')
          .describe('IPv4 address the trials dial. Default 192.0.2.1 (TEST-NET-1).'),
        ipv6: z
          .ipv6()
          .default('2001:db8::1')
          .describe('IPv6 address the trials dial. Default 2001:db8::1.'),
        directPort: z
          .int()
          .min(1)
          .max(65_535)
          .default(9)
          .describe('TCP port that is not captured and must be rejected. Default 9.'),
      })
      .prefault({})
      .describe(
        'How the sidecar proves, before it is ready and ever after, that the fence stands.',
      ),
  })
  .optional()
  .describe(
    'Transparent capture, for a pod whose traffic `egret redirect` sends here. Default: off, only explicit listeners.',
  );

export const tlsSchema = z
  .strictObject({
    trustDirectory: z
      .string()
      .describe(
        'Directory for ca.crt and bundle.pem, which the agent must trust. Made when missing.',
      ),
    passthrough: z
      .array(hostPattern)
      .max(256)
      .default([])
      .describe(
        'Names whose TLS is not opened: policy sees the name only, as operation connect with tls_intercepted false. Default none.',
      ),
    names: z
      .array(hostPattern)
      .max(64)
      .default([])
      .describe(
        'Name constraints of the certificate authority: it can vouch for nothing else. Default: any name.',
      ),
    validHours: positive(168)
      .default(24)
      .describe('Hours the certificate authority of this process is valid. Default 24.'),
    leavesMax: positive(65_536)
      .default(1000)
      .describe('Certificates kept for names; the one unused longest goes first. Default 1000.'),
  })
  .optional()
  .describe(
    'TLS interception. Default: off; tunnels are decided on host and port and stay closed.',
  );

/** Fields of `upstream` that guard where calls may go. */
export const addressFields = {
  clusterNetworks: z
    .array(cidr)
    .max(64)
    .default([])
    .describe(
      'Pod, service and node CIDR blocks of the cluster: refused like private addresses, even when they are public ones. Default none.',
    ),
  ports: z
    .array(z.int().min(1).max(65_535))
    .max(256)
    .default([80, 443])
    .describe(
      'TCP ports that proxied and captured calls may reach, besides those in `hosts`. Default 80 and 443.',
    ),
  dnsServers: z
    .array(dnsServer)
    .max(8)
    .default([])
    .describe(
      'DNS servers as `address:port` for names that calls bring. Default: those of the system. /etc/hosts and search lists are not used.',
    ),
  rootsFile: z
    .string()
    .optional()
    .describe(
      'PEM file with the roots that upstream certificates need. Default: the system roots.',
    ),
  caFiles: z
    .record(destination, z.string())
    .default({})
    .describe('Pinned roots: `host:port` to a PEM file that alone is trusted there. Default none.'),
  webSockets: z
    .array(destination)
    .max(256)
    .default([])
    .describe(
      '`host:port` where a WebSocket may be opened when policy allows the GET. Default none.',
    ),
  grpc: z
    .array(destination)
    .max(256)
    .default([])
    .describe(
      '`host:port` reached over HTTP/2, each gRPC method decided by its path. Default none.',
    ),
} as const;

export const webSocketFields = {
  webSocketMessageBytesMax: positive(64 * KiB * KiB)
    .default(1024 * KiB)
    .describe(
      'Bytes of one WebSocket message, either way. Default 1048576. Over it: closed, 1009.',
    ),
  webSocketFramesPerSecond: positive(1_000_000)
    .default(1000)
    .describe('WebSocket frames per second, either way. Default 1000. Over it: closed, 1008.'),
} as const;
