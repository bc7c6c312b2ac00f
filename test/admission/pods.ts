// Pods and a configuration for the tests of injection, and a dumb twin of JSON Patch.
import assert from 'node:assert/strict';
import { type InjectOptions, inject } from '../../src/admission/inject.ts';
import type { PatchOperation } from '../../src/admission/json-patch.ts';
import { type AdmissionConfig, admissionSchema } from '../../src/config/admission.ts';

export type Json = Record<string, unknown>;

/** @param more fields of the admission configuration. */
export function options(more: Json = {}): InjectOptions & { config: AdmissionConfig } {
  const config = admissionSchema.parse({
    image: 'egret.example/egret:1.0.0',
    policySet: 'agents',
    policySets: ['strict'],
    sidecar: {
      agent: { environment: 'prod' },
      bundles: [{ distributor: { url: 'https://egret.egret-system.svc:15443' } }],
      audit: {},
    },
    caConfigMap: 'egret-ca',
    ...more,
  });
  return { config, namespace: 'shop' };
}

/** A pod with one agent container. @param spec and metadata are laid over it. */
export function pod({
  spec = {},
  metadata = {},
  agent = {},
}: { [K in 'spec' | 'metadata' | 'agent']?: Json } = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'buyer-', labels: { app: 'buyer' }, ...metadata },
    spec: {
      serviceAccountName: 'buyer',
      containers: [
        {
          name: 'agent',
          image: 'shop.example/buyer:7',
          securityContext: { runAsUser: 1000 },
          ...agent,
        },
      ],
      ...spec,
    },
  };
}

/** RFC 6902 as one reads it, for add, replace and remove; each operation must fit. */
export function applied(document: unknown, patch: readonly PatchOperation[]): unknown {
  const root = { '': structuredClone(document) } as Json;
  for (const operation of patch) {
    const keys = operation.path
      .split('/')
      .map((k) => k.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop();
    assert.ok(last !== undefined);
    let at: unknown = operation.path === '' ? root : root[''];
    for (const key of keys.slice(1)) at = (at as Json)[key];
    if (Array.isArray(at)) {
      const index = Number(last);
      const end = operation.op === 'add' ? at.length : at.length - 1;
      assert.ok(index >= 0 && index <= end, operation.path);
      const rest = operation.op === 'remove' ? [] : [structuredClone(operation.value)];
      at.splice(index, operation.op === 'add' ? 0 : 1, ...rest);
    } else {
      const object = at as Json;
      if (operation.op !== 'add') assert.ok(Object.hasOwn(object, last), operation.path);
      if (operation.op === 'remove') delete object[last];
      else {
        // Not an assignment: `__proto__` is a key like any other.
        const value = structuredClone(operation.value);
        Object.defineProperty(object, last, {
          value,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      }
    }
  }
  return root[''];
}

export type InjectedPod = Json & {
  metadata: { annotations: Record<string, string> };
  spec: { initContainers: Json[]; containers: Json[]; volumes: Json[] };
};

/** The pod with the sidecar; fails when it is not injected. */
export function injected(given: unknown, using: InjectOptions): InjectedPod {
  const answer = inject(given, using);
  assert.equal(answer.kind, 'patch', JSON.stringify(answer));
  return applied(given, answer.kind === 'patch' ? answer.patch : []) as InjectedPod;
}
