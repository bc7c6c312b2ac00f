/**
 * The part of the configuration about policy bundles: where they come from and whose signature they must have. Keys are
 * named, not written here; a key says which algorithm it is for, and no token can say otherwise. Pure.
 */
import { z } from 'zod';

/** The algorithms of OPA's bundle signatures. */
export const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'HS256',
  'HS384',
  'HS512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;
export type SignatureAlgorithm = (typeof ALGORITHMS)[number];

const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected a DNS label: a-z, 0-9 and -');

const keySchema = z
  .strictObject({
    id: z
      .string()
      .min(1)
      .max(253)
      .describe(
        'Name of the key, as a signature may give it (`kid`). Several keys allow a change.',
      ),
    algorithm: z
      .enum(ALGORITHMS)
      .describe(
        'The one algorithm this key verifies. What a signature says about it never counts.',
      ),
    file: z
      .string()
      .optional()
      .describe('File with the public key or certificate (PEM), or with the secret of an HMAC.'),
    env: z
      .string()
      .optional()
      .describe('Environment variable with the same. Exactly one of file and env.'),
    expires: z.iso
      .datetime({ offset: true })
      .optional()
      .describe(
        'RFC 3339; from then on the key verifies nothing. Default never, or the end of its certificate.',
      ),
  })
  .refine((key) => (key.file === undefined) !== (key.env === undefined), {
    message: 'expected exactly one of file and env',
  });

export const verificationSchema = z
  .strictObject({
    keys: z
      .array(keySchema)
      .min(1, 'expected at least one key')
      .max(16)
      .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, {
        message: 'expected keys with different ids',
      })
      .describe('Keys whose signatures count. Read at start.'),
    keyId: z
      .string()
      .optional()
      .describe(
        'Use this key whatever the signature names. Default: the one it names, or the only one when it names none.',
      ),
    scope: z
      .string()
      .max(256)
      .default('')
      .describe('Scope the signature must have exactly. Default empty: a signature without one.'),
    required: z
      .boolean()
      .default(true)
      .describe('Refuse bundles without a signature. Default true.'),
  })
  .refine(({ keys, keyId }) => keyId === undefined || keys.some(({ id }) => id === keyId), {
    message: 'expected the id of one of the keys',
    path: ['keyId'],
  });

const httpsUrl = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !/[@#]/.test(text), 'expected no user info or fragment')
  .transform((text) => text.replace(/\/$/, ''));

const serverSchema = z.strictObject({
  url: httpsUrl.describe('Base URL. Plain http only toward loopback: a token would be readable.'),
  tokenFile: z
    .string()
    .optional()
    .describe('File with a bearer token, read again for each request. Default: no credential.'),
  caFile: z
    .string()
    .optional()
    .describe('CA of the server (PEM). Default: the roots of the machine.'),
});
export type ServerConfig = z.output<typeof serverSchema>;

const reportsSchema = serverSchema.extend({
  intervalSeconds: z
    .int()
    .min(1)
    .max(300)
    .default(15)
    .describe('Seconds between two reports, spread by a fifth. Default 15.'),
});

const configMapSchema = z.strictObject({
  namespace: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected a namespace')
    .describe('Namespace of the policy sets.'),
  kubeconfig: z
    .string()
    .optional()
    .describe('How to reach the API server. Default: the service account of the pod.'),
});

const SOURCES = ['directory', 'configMap', 'distributor', 'http'] as const;
interface Sources {
  readonly directory?: string | undefined;
  readonly configMap?: unknown;
  readonly distributor?: ServerConfig | undefined;
  readonly http?: ServerConfig | undefined;
  readonly lastGoodDirectory?: string | undefined;
  readonly reports?: ServerConfig | undefined;
}

function sourceProblems(bundle: Sources, context: z.RefinementCtx): void {
  const given = SOURCES.filter((name) => bundle[name] !== undefined);
  if (given.length !== 1) {
    const message = `expected exactly one of ${SOURCES.join(', ')}`;
    context.addIssue({ code: 'custom', path: [], message });
  }
  const follows = bundle.configMap !== undefined || bundle.distributor !== undefined;
  if (!follows && bundle.lastGoodDirectory !== undefined) {
    const message = 'expected it only with configMap or distributor';
    context.addIssue({ code: 'custom', path: ['lastGoodDirectory'], message });
  }
  for (const name of ['distributor', 'http', 'reports'] as const) {
    const url = URL.parse(bundle[name]?.url ?? '');
    const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url?.hostname ?? '');
    if (url?.protocol === 'http:' && !loopback) {
      const message = 'expected https, or http toward loopback';
      context.addIssue({ code: 'custom', path: [name, 'url'], message });
    }
  }
}

export const bundlesSchema = z
  .array(
    z
      .strictObject({
        name: name.describe('Name of the policy set.'),
        directory: z
          .string()
          .optional()
          .describe(
            'Directory with one *.tar.gz bundle or one unpacked bundle, such as a mounted ConfigMap. Not trusted before the gate. Exactly one of directory, configMap, distributor and http.',
          ),
        configMap: configMapSchema
          .optional()
          .describe('Watch the state of the policy set `name` at the Kubernetes API.'),
        distributor: serverSchema
          .optional()
          .describe('Ask the distributor of a controller for the policy set `name`.'),
        http: serverSchema
          .optional()
          .describe("Fetch one bundle from this URL, as OPA's bundle API does."),
        lastGoodDirectory: z
          .string()
          .optional()
          .describe(
            'Directory of the sidecar itself where the policy in force is kept, to start with when nobody can be asked. With configMap and distributor only. Default: none is kept.',
          ),
        reports: reportsSchema
          .optional()
          .describe(
            'Where comparisons with a candidate are reported. Default: the distributor, when there is one.',
          ),
        dialect: z
          .enum(['egret', 'envoy', 'bool'])
          .optional()
          .describe(
            'How the policy is asked and answers: `egret`, as OPA-Envoy, or one boolean. Default what the manifest says, then `egret`.',
          ),
        entrypoint: z
          .string()
          .regex(/^[A-Za-z0-9_.\-/]{1,256}$/, 'expected a path such as envoy/authz/allow')
          .optional()
          .describe(
            'The rule that decides. Default what the manifest says, then `egret/decision` or `envoy/authz/allow`.',
          ),
        verification: verificationSchema
          .optional()
          .describe(
            "OPA's bundle signatures. Default: none is checked, and a bundle that has one is refused.",
          ),
        pollMs: z
          .int()
          .min(5)
          .max(600_000)
          .default(1000)
          .describe(
            'Milliseconds between looks at a directory besides file events, or at an HTTP URL. Default 1000.',
          ),
        maxStalenessSeconds: z
          .int()
          .min(1)
          .max(31_536_000)
          .optional()
          .describe(
            'Deny with bundle.stale when the source could not be read for so long. Default never.',
          ),
      })
      .superRefine(sourceProblems),
  )
  .length(1, 'expected exactly one bundle')
  .describe('Policy bundles. Exactly one.');

export type BundleConfig = z.output<typeof bundlesSchema>[number];
export type VerificationConfig = z.output<typeof verificationSchema>;
