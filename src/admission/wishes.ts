/**
 * What a pod says about its own injection: the annotations `egret.dev/*`, every one known and of a strict form. A pod
 * chooses only among what the configuration allows. Pure.
 */
import { type AdmissionConfig, MODES, type Mode, QUANTITY } from '../config/admission.ts';
import type { Pod } from './pod.ts';

export const STATUS_ANNOTATION = 'egret.dev/status';
const INJECT = 'egret.dev/inject';
const PREFIX = 'egret.dev/';

export interface Wishes {
  readonly inject: boolean;
  readonly mode: Mode;
  readonly policySet: string;
  readonly logLevel: string | null;
  /** TCP ports to capture besides those of the configuration. */
  readonly ports: readonly number[];
  readonly inboundPorts: readonly number[];
  readonly resources: AdmissionConfig['resources'];
}

export type WishReason = 'unknown_annotation' | 'bad_annotation' | 'not_allowed';
export type WishReading =
  | { readonly ok: true; readonly wishes: Wishes }
  | { readonly ok: false; readonly reason: WishReason; readonly message: string };

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'];
const PORTS_MAX = 32;

class WishError extends Error {
  readonly reason: WishReason;
  constructor(reason: WishReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export function readWishes({ metadata }: Pod, config: AdmissionConfig): WishReading {
  try {
    const given = new Map(
      Object.entries(metadata.annotations ?? {}).filter(([key]) => key.startsWith(PREFIX)),
    );
    const labelled = metadata.labels?.[INJECT];
    return { ok: true, wishes: wishesOf(given, labelled, config) };
  } catch (error) {
    if (!(error instanceof WishError)) throw error;
    return { ok: false, reason: error.reason, message: error.message };
  }
}

function wishesOf(
  given: Map<string, string>,
  labelled: string | undefined,
  config: AdmissionConfig,
): Wishes {
  const known = new Set([INJECT, STATUS_ANNOTATION]);
  const take = (name: string) => {
    known.add(PREFIX + name);
    return given.get(PREFIX + name);
  };
  const wishes: Wishes = {
    inject: injectOf(given.get(INJECT), labelled),
    mode: modeOf(take('mode'), config),
    policySet: policySetOf(take('policy-set'), config),
    logLevel: oneOf('log-level', take('log-level'), LOG_LEVELS) ?? null,
    ports: portsOf('ports', take('ports')),
    inboundPorts: portsOf('inbound-ports', take('inbound-ports')),
    resources: {
      cpuRequest: quantityOf('cpu-request', take) ?? config.resources.cpuRequest,
      memoryRequest: quantityOf('memory-request', take) ?? config.resources.memoryRequest,
      memoryLimit: quantityOf('memory-limit', take) ?? config.resources.memoryLimit,
    },
  };
  const unknown = [...given.keys()].find((key) => !known.has(key));
  if (unknown === undefined) return wishes;
  const names = [...known].filter((key) => key !== STATUS_ANNOTATION);
  throw new WishError(
    'unknown_annotation',
    `annotation ${shown(unknown)}: expected one of ${names.join(', ')}`,
  );
}

function injectOf(annotated: string | undefined, labelled: string | undefined): boolean {
  const values = ['enabled', 'disabled'];
  const one = oneOf('inject', annotated, values);
  const other = oneOf('inject', labelled, values, 'label');
  if (one !== undefined && other !== undefined && one !== other) {
    throw new WishError('bad_annotation', `${INJECT}: label and annotation say different things`);
  }
  return (one ?? other) !== 'disabled';
}

function modeOf(value: string | undefined, { modes }: AdmissionConfig): Mode {
  const mode = oneOf('mode', value, MODES) ?? modes[0] ?? 'transparent';
  if (modes.includes(mode)) return mode;
  throw new WishError(
    'not_allowed',
    `annotation egret.dev/mode: this cluster allows ${modes.join(', ')}, not ${mode}`,
  );
}

function policySetOf(value: string | undefined, config: AdmissionConfig): string {
  const allowed = [config.policySet, ...config.policySets];
  if (value === undefined || allowed.includes(value)) return value ?? config.policySet;
  throw new WishError(
    'not_allowed',
    `annotation egret.dev/policy-set: found ${shown(value)}, this cluster allows ${allowed.join(', ')}`,
  );
}

function oneOf<T extends string>(
  name: string,
  value: string | undefined,
  allowed: readonly T[],
  what = 'annotation',
): T | undefined {
  const found = allowed.find((one) => one === value);
  if (value === undefined || found !== undefined) return found;
  throw new WishError(
    'bad_annotation',
    `${what} ${PREFIX}${name}: found ${shown(value)}, expected ${allowed.join(' or ')}`,
  );
}

function portsOf(name: string, value: string | undefined): number[] {
  if (value === undefined) return [];
  const ports = value.split(',').map((text) => (/^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0));
  const fine = ports.every((port) => port > 0 && port <= 65_535);
  if (fine && new Set(ports).size === ports.length && ports.length <= PORTS_MAX) return ports;
  throw new WishError(
    'bad_annotation',
    `annotation ${PREFIX}${name}: found ${shown(value)}, expected up to ${PORTS_MAX} different TCP ports such as 8080,8443`,
  );
}

function quantityOf(name: string, take: (name: string) => string | undefined): string | undefined {
  const value = take(`resources-${name}`);
  if (value === undefined || QUANTITY.test(value)) return value;
  throw new WishError(
    'bad_annotation',
    `annotation ${PREFIX}resources-${name}: found ${shown(value)}, expected a quantity such as 50m or 96Mi`,
  );
}

const shown = (text: string) => JSON.stringify(text.slice(0, 80));
