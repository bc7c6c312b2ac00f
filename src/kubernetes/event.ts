/**
 * A core/v1 Event about an object, as `kubectl describe` shows it. Pure.
 */
import type { KubeObject, ReadObject } from './object.ts';

export interface Happening {
  readonly about: ReadObject;
  readonly type: 'Normal' | 'Warning';
  /** One word in UpperCamelCase. */
  readonly reason: string;
  readonly message: string;
  /** Who says it, e.g. `egret-controller`. */
  readonly component: string;
  /** Which replica of it. */
  readonly instance: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** Ten or more random hexadecimal digits: Events need names. */
  readonly suffix: string;
}

/** The API server takes no more. */
const MESSAGE_CHARS_MAX = 1024;
const NAME_CHARS_MAX = 200;

export function eventFor(happening: Happening): KubeObject {
  const { about, type, reason, component, instance } = happening;
  const { name, namespace, uid, resourceVersion } = about.metadata;
  const at = new Date(happening.atMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    metadata: {
      name: `${name.slice(0, NAME_CHARS_MAX)}.${happening.suffix}`,
      ...(namespace === undefined ? {} : { namespace }),
    },
    involvedObject: {
      apiVersion: about.apiVersion,
      kind: about.kind,
      name,
      namespace,
      uid,
      resourceVersion,
    },
    type,
    reason,
    message: happening.message.slice(0, MESSAGE_CHARS_MAX),
    count: 1,
    firstTimestamp: at,
    lastTimestamp: at,
    source: { component },
    reportingComponent: component,
    reportingInstance: instance.slice(0, 128),
  };
}
