/**
 * As much of a pod as injection looks at. Everything else is carried along as it is. Pure.
 */
import { z } from 'zod';

const securityContext = z.looseObject({
  runAsUser: z.number().optional(),
  privileged: z.boolean().optional(),
  allowPrivilegeEscalation: z.boolean().optional(),
  capabilities: z
    .looseObject({
      add: z.array(z.string()).optional(),
      drop: z.array(z.string()).optional(),
    })
    .optional(),
});

const container = z.looseObject({
  name: z.string(),
  env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).optional(),
  envFrom: z.array(z.unknown()).optional(),
  ports: z
    .array(z.looseObject({ containerPort: z.number(), protocol: z.string().optional() }))
    .optional(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).optional(),
  securityContext: securityContext.optional(),
});

const podSchema = z.looseObject({
  metadata: z.looseObject({
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.looseObject({
    containers: z.array(container),
    initContainers: z.array(container).optional(),
    ephemeralContainers: z.array(container).optional(),
    volumes: z.array(z.looseObject({ name: z.string() })).optional(),
    serviceAccountName: z.string().optional(),
    hostNetwork: z.boolean().optional(),
    hostPID: z.boolean().optional(),
    hostIPC: z.boolean().optional(),
    shareProcessNamespace: z.boolean().optional(),
    os: z.looseObject({ name: z.string() }).optional(),
    securityContext: z.looseObject({ runAsUser: z.number().optional() }).optional(),
  }),
});

export type Pod = z.output<typeof podSchema>;
export type Container = z.output<typeof container>;

export type PodReading =
  | { readonly ok: true; readonly pod: Pod }
  | { readonly ok: false; readonly error: string };

/** The value itself, unchanged, when it has the shape of a pod; nulls stand for what is not there. */
export function readPod(value: unknown): PodReading {
  const plain = withoutNulls(value);
  const parsed = podSchema.safeParse(plain);
  if (parsed.success) return { ok: true, pod: plain as Pod };
  const [issue] = parsed.error.issues;
  const at = issue?.path.map(String).join('.') ?? '';
  return { ok: false, error: `${at}: ${issue?.message ?? 'no pod'}` };
}

/** Go writes what is not there as null here and there. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== null)
      .map(([key, one]) => [key, withoutNulls(one)]),
  );
}
