/**
 * The configuration schema of `egret controller`, contract `egret.dev/v1` ControllerConfig, and its reader. Every field
 * says its unit and default; unknown keys are errors. docs/controller-configuration.md is rendered from it. Secrets
 * never stand in the file, only names of files. Shell: reads one file.
 */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { admissionSchema } from './admission.ts';
import { verificationSchema } from './bundle.ts';
import { absoluteKey, parseDocumentOf, readConfigFile } from './load.ts';

const MiB = 1024 * 1024;
const port = z.int().min(0).max(65_535);
const dnsName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9.-]{0,238}[a-z0-9])?$/, 'expected a name of Kubernetes');

const distributorSchema = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to bind. Default 0.0.0.0.'),
  port: port.default(15_443).describe('TCP port, 0 picks a free one. Default 15443.'),
  certFile: z
    .string()
    .describe('Certificate chain (PEM). Read again when it changes, without a restart.'),
  keyFile: z.string().describe('Its private key (PEM). Read again with the certificate.'),
  audience: z
    .string()
    .min(1)
    .max(253)
    .default('egret')
    .describe('Audience that the tokens of sidecars must be for. Default egret.'),
  peers: z
    .strictObject({
      service: z
        .string()
        .describe('DNS name that gives the addresses of all replicas: a headless service.'),
      serverName: z
        .string()
        .describe('Name in the certificates of the replicas, which are dialled by address.'),
      caFile: z.string().describe('CA of their certificates (PEM).'),
      tokenFile: z
        .string()
        .describe('Projected token of this replica with the audience above; read for each use.'),
    })
    .optional()
    .describe('The other replicas, whose reports the leader asks for. Default: there is only one.'),
});

export const controllerSchema = z
  .strictObject({
    apiVersion: z.literal('egret.dev/v1').describe('Version of this format.'),
    kind: z.literal('ControllerConfig').describe('Kind of this document.'),
    namespace: dnsName
      .optional()
      .describe(
        'Namespace of the policy sets, bundles and states. Default EGRET_POD_NAMESPACE, where the controller runs.',
      ),
    kubeconfig: z
      .string()
      .optional()
      .describe('How to reach the API server. Default: the service account of the pod.'),
    lease: z
      .strictObject({
        name: dnsName
          .default('egret-controller')
          .describe('Lease that one replica holds. Default egret-controller.'),
        durationSeconds: z
          .int()
          .min(3)
          .max(600)
          .default(15)
          .describe('Seconds after which a silent leader is replaced. Default 15.'),
        renewDeadlineSeconds: z
          .int()
          .min(2)
          .max(599)
          .default(10)
          .describe('Seconds without a renewal after which a leader steps down. Default 10.'),
        retrySeconds: z
          .int()
          .min(1)
          .max(300)
          .default(2)
          .describe('Seconds between two tries. Default 2.'),
      })
      .refine((l) => l.retrySeconds < l.renewDeadlineSeconds, {
        message: 'expected less than renewDeadlineSeconds',
        path: ['retrySeconds'],
      })
      .refine((l) => l.renewDeadlineSeconds < l.durationSeconds, {
        message: 'expected less than durationSeconds',
        path: ['renewDeadlineSeconds'],
      })
      .prefault({})
      .describe('Leader election.'),
    bundles: z
      .strictObject({
        verification: verificationSchema
          .optional()
          .describe('As in the configuration of sidecars. Default: unsigned bundles only.'),
        policyMemoryBytesMax: z
          .int()
          .min(16 * MiB)
          .max(1024 * MiB)
          .default(128 * MiB)
          .describe('Memory of one policy instance in bytes. Default 134217728.'),
      })
      .prefault({})
      .describe('The gate that a candidate must pass before any sidecar hears of it.'),
    writeIntervalSeconds: z
      .int()
      .min(0)
      .max(3600)
      .default(30)
      .describe(
        'Least seconds between two routine writes of one set; aborts, rollbacks and commands do not wait. Default 30.',
      ),
    distributor: distributorSchema
      .optional()
      .describe(
        'HTTPS for sidecars: directives, bundles, reports. Default none: sidecars watch the API.',
      ),
    admission: admissionSchema
      .optional()
      .describe(
        'Webhook that injects the sidecar into pods, with the certificate of the distributor, which it needs. Default none.',
      ),
    admin: z
      .strictObject({
        host: z.string().default('127.0.0.1').describe('Address to bind. Default 127.0.0.1.'),
        port: port.default(15_090).describe('TCP port, 0 picks a free one. Default 15090.'),
      })
      .prefault({})
      .describe('Health, readiness, metrics and status; read-only.'),
    logLevel: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('Least severe log event written. Default info.'),
  })
  .refine(({ admission, distributor }) => admission === undefined || distributor !== undefined, {
    message: 'expected a distributor, whose certificate the webhook has',
    path: ['admission'],
  });

export type ControllerConfig = z.output<typeof controllerSchema>;

/** Paths in it are relative to the file. @throws ConfigError */
export function loadControllerConfig(file: string): ControllerConfig {
  const config = parseDocumentOf(controllerSchema, readConfigFile(file), file);
  const at = (path: string) => resolve(dirname(resolve(file)), path);
  const { kubeconfig, distributor, admission } = config;
  const pathTokenFile = admission?.pathTokenFile;
  const { verification } = config.bundles;
  return {
    ...config,
    ...(kubeconfig === undefined ? {} : { kubeconfig: at(kubeconfig) }),
    bundles: {
      ...config.bundles,
      ...(verification === undefined
        ? {}
        : { verification: { ...verification, keys: verification.keys.map(absoluteKey(at)) } }),
    },
    ...(distributor === undefined ? {} : { distributor: absoluteDistributor(distributor, at) }),
    ...(admission === undefined || pathTokenFile === undefined
      ? {}
      : { admission: { ...admission, pathTokenFile: at(pathTokenFile) } }),
  };
}

type Distributor = NonNullable<ControllerConfig['distributor']>;

function absoluteDistributor(distributor: Distributor, at: (path: string) => string): Distributor {
  const { certFile, keyFile, peers } = distributor;
  return {
    ...distributor,
    certFile: at(certFile),
    keyFile: at(keyFile),
    ...(peers === undefined
      ? {}
      : { peers: { ...peers, caFile: at(peers.caFile), tokenFile: at(peers.tokenFile) } }),
  };
}
