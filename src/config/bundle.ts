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

export const bundlesSchema = z
  .array(
    z.strictObject({
      name: name.describe('Name of the policy set.'),
      directory: z
        .string()
        .describe(
          'Directory with one *.tar.gz bundle or one unpacked bundle. Not trusted before the gate.',
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
        .describe('Milliseconds between looks at the directory besides file events. Default 1000.'),
      maxStalenessSeconds: z
        .int()
        .min(1)
        .max(31_536_000)
        .optional()
        .describe(
          'Deny with bundle.stale when the source could not be read for so long. Default never.',
        ),
    }),
  )
  .length(1, 'expected exactly one bundle')
  .describe('Policy bundles. Exactly one.');

export type VerificationConfig = z.output<typeof verificationSchema>;
