/**
 * A container of the user as injection leaves it: it trusts the sidecar's certificates, knows the proxy where no rules
 * lead to it, and can become nobody else. What the user set stays as it is and is told. Pure.
 */
import type { AdmissionConfig } from '../config/admission.ts';
import type { Config } from '../config/schema.ts';
import { trustEnvironment } from '../tls/environment.ts';
import { trustFiles } from '../tls/trust.ts';
import { TRUST_VOLUME } from './examine.ts';
import type { Container } from './pod.ts';
import type { Wishes } from './wishes.ts';

interface Adapted {
  readonly container: Container;
  /** Variables that have another value than ours, by the user's will. */
  readonly kept: readonly string[];
}

export function adaptAgent(
  container: Container,
  environment: Readonly<Record<string, string>>,
  admission: AdmissionConfig,
): Adapted {
  const hardened = harden(container);
  const own = hardened.env ?? [];
  const set = new Map(own.map((one) => [one.name, one]));
  const added = Object.entries(environment)
    .filter(([name]) => !set.has(name))
    .map(([name, value]) => ({ name, value }));
  const kept = Object.entries(environment)
    .filter(([name, value]) => set.has(name) && set.get(name)?.value !== value)
    .map(([name]) => name);
  const mounts = hardened.volumeMounts ?? [];
  const trust = { name: TRUST_VOLUME, mountPath: admission.trustDirectory, readOnly: true };
  const others = mounts.filter(({ name }) => name !== TRUST_VOLUME);
  return {
    kept,
    container: {
      ...hardened,
      ...(own.length + added.length === 0 ? {} : { env: [...own, ...added] }),
      ...(admission.tls ? { volumeMounts: [...others, trust] } : {}),
    },
  };
}

/** The order of keys and of drops does not depend on what was there, so that a second time changes nothing. */
export function harden(container: Container): Container {
  const context = container.securityContext ?? {};
  const drop = context.capabilities?.drop ?? [];
  return {
    ...container,
    securityContext: {
      ...context,
      allowPrivilegeEscalation: false,
      capabilities: {
        ...context.capabilities,
        drop: drop.includes('ALL') ? drop : [...drop, 'ALL'],
      },
    },
  };
}

/** Variables for every container of the user. */
export function agentEnvironment(
  wishes: Wishes,
  admission: AdmissionConfig,
  config: Config,
): Readonly<Record<string, string>> {
  const files = trustFiles(admission.trustDirectory);
  return {
    ...(admission.tls ? trustEnvironment(files, { java: admission.javaTrust }) : {}),
    ...(wishes.mode === 'explicit' ? proxyEnvironment(config.listen.proxy.port) : {}),
  };
}

/** There is no standard for NO_PROXY; these three everybody understands. */
const NO_PROXY = 'localhost,127.0.0.1,::1';

function proxyEnvironment(port: number): Record<string, string> {
  const url = `http://127.0.0.1:${port}`;
  return {
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    ALL_PROXY: url,
    NO_PROXY,
    http_proxy: url,
    https_proxy: url,
    all_proxy: url,
    no_proxy: NO_PROXY,
    grpc_proxy: url,
    NODE_USE_ENV_PROXY: '1',
  };
}
