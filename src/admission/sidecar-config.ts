/**
 * The SidecarConfig of one pod: the operator's template with what belongs to the pod filled in. It stands whole in an
 * environment variable of both containers, which nobody can change once the pod is admitted, so no object per namespace
 * must exist and the rules and the sidecar read the same text. Pure.
 */
import type { AdmissionConfig } from '../config/admission.ts';
import { type Config, configSchema } from '../config/schema.ts';
import type { Container, Pod } from './pod.ts';
import type { Wishes } from './wishes.ts';

export const STATE_DIRECTORY = '/var/lib/egret';
export const TOKEN_DIRECTORY = '/run/egret/token';
export const CA_DIRECTORY = '/run/egret/distributor-ca';
/** Listeners of ports that a pod adds to the capture. */
const EXTRA_PORT = 20_000;

export type ConfigFilling =
  | { readonly ok: true; readonly text: string; readonly config: Config }
  | { readonly ok: false; readonly message: string };

export function fillConfig(
  pod: Pod,
  namespace: string,
  wishes: Wishes,
  admission: AdmissionConfig,
): ConfigFilling {
  const filled = document(pod, namespace, wishes, admission);
  const parsed = configSchema.safeParse(filled);
  if (parsed.success) return { ok: true, text: JSON.stringify(filled), config: parsed.data };
  const [issue] = parsed.error.issues;
  const at = issue?.path.map(String).join('.');
  return { ok: false, message: `the configuration of its sidecar: ${at}: ${issue?.message}` };
}

type Fields = Readonly<Record<string, unknown>>;

function document(pod: Pod, namespace: string, wishes: Wishes, admission: AdmissionConfig): Fields {
  const template = admission.sidecar;
  const { capture, tls, ...rest } = template;
  const agent = fields(template['agent']);
  const account = pod.spec.serviceAccountName ?? 'default';
  return {
    ...rest,
    apiVersion: 'egret.dev/v1',
    kind: 'SidecarConfig',
    agent: { labels: pod.metadata.labels ?? {}, ...agent, id: `${namespace}/${account}` },
    // The kubelet asks the admin listener by the address of the pod.
    listen: {
      ...fields(template['listen']),
      admin: { host: '0.0.0.0', ...fields(fields(template['listen'])['admin']) },
    },
    bundles: bundlesOf(template['bundles'], wishes, admission),
    audit: { ...fields(template['audit']), directory: `${STATE_DIRECTORY}/audit` },
    ...(wishes.mode === 'transparent'
      ? { capture: captureOf(fields(capture), pod, wishes, admission) }
      : {}),
    ...(admission.tls ? { tls: { ...fields(tls), trustDirectory: admission.trustDirectory } } : {}),
    ...(wishes.logLevel === null
      ? {}
      : { telemetry: { ...fields(template['telemetry']), logLevel: wishes.logLevel } }),
  };
}

function bundlesOf(given: unknown, { policySet }: Wishes, admission: AdmissionConfig): unknown {
  if (!Array.isArray(given)) return given;
  return given.map((one: unknown) => {
    const bundle = fields(one);
    const distributor = bundle['distributor'];
    const follows = distributor !== undefined || bundle['configMap'] !== undefined;
    return {
      ...(follows ? { lastGoodDirectory: `${STATE_DIRECTORY}/last-good` } : {}),
      ...bundle,
      name: policySet,
      ...(distributor === undefined
        ? {}
        : { distributor: distributorOf(fields(distributor), admission) }),
    };
  });
}

const distributorOf = (given: Fields, { caConfigMap }: AdmissionConfig): Fields => ({
  ...(caConfigMap === undefined ? {} : { caFile: `${CA_DIRECTORY}/ca.crt` }),
  tokenFile: `${TOKEN_DIRECTORY}/token`,
  ...given,
});

function captureOf(given: Fields, pod: Pod, wishes: Wishes, { uid }: AdmissionConfig): Fields {
  const configured = (given['ports'] ?? { '80': 15_080, '443': 15_443 }) as Fields;
  const extra = wishes.ports
    .filter((port) => !Object.hasOwn(configured, String(port)))
    .map((port, at) => [String(port), EXTRA_PORT + at]);
  const listed = Array.isArray(given['inboundPorts']) ? given['inboundPorts'] : [];
  const inbound = new Set<unknown>([...listed, ...wishes.inboundPorts, ...servedPorts(pod)]);
  return {
    ...given,
    uid,
    ports: { ...configured, ...Object.fromEntries(extra) },
    inboundPorts: [...inbound],
  };
}

/** Ports at which the pod says it answers: those it lists, and those of its probes. */
function servedPorts({ spec }: Pod): number[] {
  const containers = [...(spec.initContainers ?? []), ...spec.containers].filter(
    ({ name }) => name !== 'egret',
  );
  return containers.flatMap((container) => [
    ...(container.ports ?? [])
      .filter(({ protocol }) => protocol === undefined || protocol === 'TCP')
      .map(({ containerPort }) => containerPort),
    ...['startupProbe', 'readinessProbe', 'livenessProbe'].flatMap((name) =>
      probePorts(container, name),
    ),
  ]);
}

function probePorts(container: Container, name: string): number[] {
  const probe = fields(container[name]);
  return ['httpGet', 'tcpSocket', 'grpc']
    .map((kind) => fields(probe[kind])['port'])
    .filter((port) => typeof port === 'number');
}

const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
