/**
 * The one configuration schema of `egret sidecar`, contract `egret.dev/v1` SidecarConfig. Every field says its unit,
 * its default and whom it trusts; unknown keys are errors. docs/configuration.md is rendered from it.
 * The file is the operator's and is trusted; secrets never stand in it, only the name of a file or variable. Pure.
 */
import { z } from 'zod';
import { addressFields, captureSchema, tlsSchema, webSocketFields } from './fence.ts';

const positive = (max: number) => z.int().min(1).max(max);
const port = z.int().min(0).max(65_535);
const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected a DNS label: a-z, 0-9 and -');
const KiB = 1024;
const MiB = 1024 * KiB;
/** Bytes of a request body unless configured. */
export const DEFAULT_BODY_BYTES_MAX = 10 * MiB;

const listener = (defaultPort: number, what: string) =>
  z
    .strictObject({
      host: z
        .string()
        .default('127.0.0.1')
        .describe('Address to bind. Default 127.0.0.1. Whoever reaches it counts as the agent.'),
      port: port
        .default(defaultPort)
        .describe(`TCP port, 0 picks a free one. Default ${defaultPort}.`),
    })
    .default({ host: '127.0.0.1', port: defaultPort })
    .describe(what);

const httpUrl = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !/[@#?]/.test(text), 'expected no user info, query or fragment');

const upstreamTarget = z.strictObject({
  url: httpUrl.describe(
    'Where the calls go: http or https URL. Trusted as an explicit destination.',
  ),
});

const client = z
  .strictObject({
    id: name.describe('Name of the client in logs and audit records.'),
    tokenFile: z
      .string()
      .optional()
      .describe('File that holds the bearer token, read at start; surrounding white space is cut.'),
    tokenEnv: z.string().optional().describe('Environment variable that holds the bearer token.'),
    may: z
      .enum(['review', 'upload'])
      .describe(
        '`review` asks for decisions (the agent); `upload` registers user files (a front end).',
      ),
  })
  .refine((c) => (c.tokenFile === undefined) !== (c.tokenEnv === undefined), {
    message: 'expected exactly one of tokenFile and tokenEnv',
  });

const durability = z.enum(['fsync', 'write']);

export const configSchema = z.strictObject({
  apiVersion: z.literal('egret.dev/v1').describe('Version of this format.'),
  kind: z.literal('SidecarConfig').describe('Kind of this document.'),
  agent: z
    .strictObject({
      id: z
        .string()
        .min(1)
        .max(253)
        .describe('Identity of the agent beside this sidecar. Trusted: the operator says it.'),
      environment: z
        .string()
        .min(1)
        .max(63)
        .default('unknown')
        .describe(
          'Environment policy sees, e.g. `prod`. Default `unknown`. Never taken from the agent.',
        ),
      labels: z
        .record(z.string(), z.string())
        .default({})
        .describe('Labels of the workload that policy sees. Default none.'),
    })
    .describe('Who makes the calls.'),
  listen: z
    .strictObject({
      proxy: listener(15_001, 'Explicit forward proxy: absolute-form HTTP and CONNECT.'),
      gateway: listener(15_010, 'Tool gateway: /mcp/<server> and /tools/<name>/.'),
      decision: listener(15_020, 'Decision API: /v1/review, /v1/data and /v1/uploads.'),
      admin: listener(15_090, 'Health, readiness, metrics and status; read-only.'),
    })
    .prefault({})
    .describe('Listeners.'),
  bundles: z
    .array(
      z.strictObject({
        name: name.describe('Name of the policy set.'),
        directory: z
          .string()
          .describe(
            'Directory with one *.tar.gz bundle or one unpacked bundle. Not trusted before the gate.',
          ),
        pollMs: z
          .int()
          .min(5)
          .max(600_000)
          .default(1000)
          .describe(
            'Milliseconds between looks at the directory besides file events. Default 1000.',
          ),
        maxStalenessSeconds: positive(31_536_000)
          .optional()
          .describe(
            'Deny with bundle.stale when the source could not be read for so long. Default never.',
          ),
      }),
    )
    .length(1, 'expected exactly one bundle')
    .describe('Policy bundles. Exactly one.'),
  mcpServers: z
    .record(name, upstreamTarget)
    .default({})
    .describe('MCP servers by name, reached under /mcp/<name>. Default none.'),
  tools: z
    .record(name, upstreamTarget)
    .default({})
    .describe('Plain HTTP tools by name, reached under /tools/<name>/. Default none.'),
  capture: captureSchema,
  tls: tlsSchema,
  enforcement: z
    .enum(['deny', 'warn', 'dryrun'])
    .default('deny')
    .describe(
      'What a denying policy does: refuse, let through with a warning, or only record. Default deny. Malformed calls and failing policies are refused in every mode.',
    ),
  audit: z
    .strictObject({
      directory: z
        .string()
        .describe('Directory of the audit log; made when missing. One sidecar only.'),
      durability: z
        .strictObject({
          write: durability
            .default('fsync')
            .describe('When the record of a writing call counts as durable. Default fsync.'),
          read: durability
            .default('write')
            .describe('When the record of a reading call counts as durable. Default write.'),
        })
        .prefault({})
        .describe('fsync survives power loss; write survives the death of the process.'),
      keyFile: z
        .string()
        .optional()
        .describe(
          'Ed25519 private key (PEM) that signs checkpoints. Default: made in the directory.',
        ),
      openingsDirectory: z
        .string()
        .optional()
        .describe('Where salts and values of committed fields are kept. Default: not kept.'),
    })
    .describe('Audit log.'),
  decisionApi: z
    .strictObject({
      clients: z
        .array(client)
        .max(16)
        .default([])
        .describe('Who may use the decision API. Default nobody.'),
    })
    .prefault({})
    .describe('Credentials of the decision API.'),
  upstream: z
    .strictObject({
      hosts: z
        .record(z.string(), z.string().regex(/^.+:\d{1,5}$/, 'expected ADDRESS:PORT'))
        .default({})
        .describe(
          'Fixed addresses: `name:port` of a call to `address:port`. Explicit, so private ones are fine.',
        ),
      privateAddresses: z
        .array(z.string())
        .max(64)
        .default([])
        .describe(
          'CIDR blocks outside the public internet that proxied calls may reach. Default none.',
        ),
      ...addressFields,
      plaintextPorts: z
        .array(z.int().min(1).max(65_535))
        .max(16)
        .default([80])
        .describe(
          'Ports whose CONNECT tunnels carry plain HTTP: each request inside is a call of its own. Default 80.',
        ),
      connectTimeoutMs: positive(60_000)
        .default(5000)
        .describe('Milliseconds to connect. Default 5000.'),
      headersTimeoutMs: positive(600_000)
        .default(60_000)
        .describe('Milliseconds until the tool starts to answer. Default 60000.'),
      bodyTimeoutMs: positive(3_600_000)
        .default(300_000)
        .describe('Milliseconds between two pieces of an answer. Default 300000.'),
      responseTimeoutMs: positive(86_400_000)
        .default(3_600_000)
        .describe(
          'Milliseconds for a whole answer; event streams may last. Default 3600000. Over it: cut, upstream.timeout.',
        ),
      responseBytesMax: positive(1024 * 1024 * MiB)
        .default(1024 * MiB)
        .describe(
          'Bytes of the body of one answer; event streams may be longer. Default 1073741824. Over it: cut, upstream.too_large.',
        ),
      connectionsMax: positive(4096)
        .default(64)
        .describe('Connections to one destination. Default 64; further calls wait.'),
    })
    .prefault({})
    .describe('The way out.'),
  limits: z
    .strictObject({
      headerBytesMax: positive(256 * KiB)
        .default(16 * KiB)
        .describe('Bytes of request line and headers. Default 16384. Over it: 431.'),
      bodyBytesMax: positive(64 * MiB)
        .default(DEFAULT_BODY_BYTES_MAX)
        .describe('Bytes of a request body. Default 10485760. Over it: call.too_large.'),
      headersTimeoutMs: positive(600_000)
        .default(10_000)
        .describe('Milliseconds for a client to send its headers. Default 10000.'),
      requestTimeoutMs: positive(600_000)
        .default(60_000)
        .describe('Milliseconds for a client to send a whole request. Default 60000.'),
      connectionsMax: positive(65_536)
        .default(1024)
        .describe('Open connections of one listener. Default 1024; further ones are closed.'),
      callsMax: positive(65_536)
        .default(512)
        .describe('Calls under way at once. Default 512; further ones get call.overloaded.'),
      bufferedBytesMax: positive(1024 * MiB)
        .default(128 * MiB)
        .describe(
          'Request bodies held at once, in bytes. Default 134217728; further ones get call.overloaded.',
        ),
      tunnelsMax: positive(65_536)
        .default(256)
        .describe('CONNECT tunnels at once. Default 256; further ones get call.overloaded.'),
      tunnelIdleMs: positive(86_400_000)
        .default(300_000)
        .describe('Milliseconds without a byte after which a tunnel is closed. Default 300000.'),
      writeStallMs: positive(3_600_000)
        .default(60_000)
        .describe(
          'Milliseconds a client may leave an answer unread before its connection is cut. Default 60000.',
        ),
      ...webSocketFields,
      fuelMax: positive(2_147_483_647)
        .optional()
        .describe(
          'Steps of one policy evaluation. Default 200 million and 1000 per character of input.',
        ),
      policyMemoryBytesMax: z
        .int()
        .min(16 * MiB)
        .max(1024 * MiB)
        .default(128 * MiB)
        .describe('Memory of one policy instance in bytes. Default 134217728.'),
      uploadsMax: positive(1_000_000)
        .default(10_000)
        .describe('Registered uploads kept; the oldest goes first. Default 10000.'),
      uploadAgeSecondsMax: positive(31_536_000)
        .default(86_400)
        .describe('Seconds after which a registered upload is forgotten. Default 86400.'),
      drainMs: positive(600_000)
        .default(25_000)
        .describe('Milliseconds for calls under way to end after SIGTERM. Default 25000.'),
    })
    .prefault({})
    .describe('Bounds.'),
  telemetry: z
    .strictObject({
      logLevel: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('Least severe log event written. Default info.'),
      traces: z
        .strictObject({
          endpoint: httpUrl.describe(
            'OTLP/HTTP URL for traces, e.g. http://127.0.0.1:4318/v1/traces.',
          ),
          sampleRatio: z
            .number()
            .min(0)
            .max(1)
            .default(1)
            .describe('Part of the allowed calls whose spans are exported. Default 1.'),
        })
        .optional()
        .describe('OpenTelemetry traces. Default: none are exported, trace ids are still made.'),
    })
    .prefault({})
    .describe('Logs and traces.'),
});

export type Config = z.output<typeof configSchema>;
export type ListenerName = keyof Config['listen'];
