/**
 * What the injection webhook puts into pods, part of ControllerConfig. The file is the operator's and is trusted; pods
 * choose only among what it allows. Pure.
 */
import { z } from 'zod';

const label = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected a DNS label: a-z, 0-9 and -');
const uid = z.int().min(1).max(4_294_967_293);

export const QUANTITY = /^\d{1,12}(\.\d{1,6})?(m|k|M|G|Ki|Mi|Gi)?$/;
const quantity = z.string().regex(QUANTITY, 'expected a quantity such as 50m or 96Mi');
const absolute = z
  .string()
  .regex(/^(\/[A-Za-z0-9._-]+)+$/, 'expected an absolute path')
  .refine((path) => !path.includes('/.'), 'expected a path without dots');

/** With none of these can a process become the sidecar's user, change the rules or send packets past them. */
const HARMLESS_CAPABILITIES = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
] as const;

export const MODES = ['transparent', 'explicit'] as const;
export type Mode = (typeof MODES)[number];

const templateSchema = z
  .record(z.string(), z.unknown())
  .refine((given) => given['agent'] === undefined || isRecord(given['agent']), {
    message: 'expected fields of agent',
    path: ['agent'],
  })
  .describe(
    'SidecarConfig of every injected sidecar, see configuration.md. apiVersion, kind, agent.id, bundles[0].name, capture.uid, directories and the admin host are filled in for each pod.',
  );

export const admissionSchema = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to bind. Default 0.0.0.0.'),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(15_444)
    .describe('TCP port of the webhook, 0 picks a free one. Default 15444.'),
  pathTokenFile: z
    .string()
    .optional()
    .describe(
      'File with a random word: the webhook then answers under /inject/<word> only. Read at start. Default: under /inject.',
    ),
  image: z.string().min(1).max(512).describe('Image of the sidecar, best with a digest.'),
  imagePullPolicy: z
    .enum(['Always', 'IfNotPresent', 'Never'])
    .default('IfNotPresent')
    .describe('When the image is pulled. Default IfNotPresent.'),
  modes: z
    .array(z.enum(MODES))
    .min(1)
    .default(['transparent'])
    .describe(
      'Modes a pod may have, the first is the default. `explicit` has no kernel rules: only a cooperating agent is mediated. Default transparent only.',
    ),
  policySet: label.describe('Policy set of pods that name none.'),
  policySets: z
    .array(label)
    .max(256)
    .default([])
    .describe('Further policy sets that a pod may name. Default none.'),
  sidecar: templateSchema,
  tls: z
    .boolean()
    .default(true)
    .describe('TLS interception, and that agents trust it. Default true.'),
  javaTrust: z
    .boolean()
    .default(false)
    .describe('Also JAVA_TOOL_OPTIONS; every Java program then prints a line. Default false.'),
  uid: uid.default(64_777).describe('User and group id of the sidecar. Default 64777.'),
  initUid: uid.default(65_534).describe('User and group id of egret-init. Default 65534.'),
  trustDirectory: absolute
    .default('/run/egret/trust')
    .describe('Where agents find the certificates. Default /run/egret/trust.'),
  token: z
    .strictObject({
      audience: z
        .string()
        .min(1)
        .max(253)
        .default('egret')
        .describe('Audience of the token for a distributor. Default egret.'),
      expirationSeconds: z
        .int()
        .min(600)
        .max(86_400)
        .default(3600)
        .describe('Seconds a token is valid. Default 3600.'),
    })
    .prefault({})
    .describe('Projected token of the sidecar; agents do not see it.'),
  caConfigMap: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]{0,238}[a-z0-9])?$/, 'expected the name of a ConfigMap')
    .optional()
    .describe(
      'ConfigMap in the namespace of each pod with `ca.crt`, the CA of the distributor. Default none.',
    ),
  resources: z
    .strictObject({
      cpuRequest: quantity.default('50m').describe('Default 50m.'),
      memoryRequest: quantity.default('96Mi').describe('Default 96Mi.'),
      memoryLimit: quantity.default('256Mi').describe('Default 256Mi.'),
    })
    .prefault({})
    .describe('Resources of the sidecar. It has no CPU limit.'),
  capabilities: z
    .array(z.enum(HARMLESS_CAPABILITIES))
    .default(['NET_BIND_SERVICE'])
    .describe('Capabilities an agent container may add. Default NET_BIND_SERVICE.'),
  optOut: z
    .boolean()
    .default(false)
    .describe('Whether a pod may say egret.dev/inject: disabled. Default false: it is refused.'),
  hostNetwork: z
    .enum(['refuse', 'skip'])
    .default('refuse')
    .describe(
      'Pods in the network of the node, which no sidecar can fence. Default refuse; `skip` lets them in unmediated.',
    ),
  requireRunAsUser: z
    .boolean()
    .default(false)
    .describe(
      'Refuse containers that leave their user to the image, which could name that of the sidecar. Default false: a warning.',
    ),
});

export type AdmissionConfig = z.output<typeof admissionSchema>;

const isRecord = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
