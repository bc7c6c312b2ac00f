/**
 * Every event the sidecar logs, declared once: level, meaning and the fields it may carry. A field holds one number,
 * one boolean or one short text; headers, arguments, bodies and keys have no field to stand in. docs/telemetry.md
 * lists the events. Pure.
 */

export type Level = 'debug' | 'info' | 'warn' | 'error';

/** What a log field may hold. Objects cannot be logged, so nothing can be logged by accident. */
export type Loggable = string | number | boolean | null;

export interface EventDeclaration {
  readonly level: Level;
  readonly fields: Readonly<Record<string, 'text' | 'number' | 'flag'>>;
  /** The message of the line. */
  readonly message: string;
}

const CALL = {
  decision_id: 'text',
  trace_id: 'text',
  listener: 'text',
  tool: 'text',
  reason: 'text',
} as const;

export const EVENTS = {
  'sidecar.starting': {
    level: 'info',
    fields: { version: 'text', config: 'text', enforcement: 'text' },
    message: 'starting',
  },
  'sidecar.listening': {
    level: 'info',
    fields: { listener: 'text', address: 'text', port: 'number' },
    message: 'listening',
  },
  'sidecar.ready': {
    level: 'info',
    fields: { startup_seconds: 'number' },
    message: 'ready',
  },
  'sidecar.draining': {
    level: 'info',
    fields: { signal: 'text', calls: 'number' },
    message: 'draining: no new calls are taken',
  },
  'sidecar.stopped': {
    level: 'info',
    fields: { calls_cut: 'number' },
    message: 'stopped',
  },
  'sidecar.failed': {
    level: 'error',
    fields: { error: 'text' },
    message: 'the sidecar cannot go on',
  },
  'tls.intercepting': {
    level: 'info',
    fields: { directory: 'text', valid_hours: 'number' },
    message: 'TLS is opened here; agents trust it by the files in this directory',
  },
  'tls.renewal_failed': {
    level: 'error',
    fields: { error: 'text' },
    message: 'the next certificate authority could not be published; the present one goes on',
  },
  'call.allowed': {
    level: 'debug',
    fields: { ...CALL, duration_seconds: 'number', status: 'number' },
    message: 'a call was let through',
  },
  'call.refused': {
    level: 'info',
    fields: { ...CALL, duration_seconds: 'number' },
    message: 'a call was refused',
  },
  'call.would_deny': {
    level: 'warn',
    fields: { ...CALL, enforcement: 'text' },
    message: 'a call that policy does not allow was let through',
  },
  'call.failed': {
    level: 'warn',
    fields: { ...CALL, error: 'text' },
    message: 'an allowed call failed on the way to the tool',
  },
  'call.internal_error': {
    level: 'error',
    fields: { ...CALL, error: 'text' },
    message: 'the sidecar failed to handle a call; nothing was sent',
  },
  'policy.failed': {
    level: 'error',
    fields: { decision_id: 'text', reason: 'text', revision: 'text', detail: 'text' },
    message: 'the policy gave no usable verdict, the call is denied',
  },
  'bundle.activated': {
    level: 'info',
    fields: { name: 'text', revision: 'text', digest: 'text' },
    message: 'a policy revision is active',
  },
  'bundle.rejected': {
    level: 'error',
    fields: { name: 'text', code: 'text', file: 'text', error: 'text' },
    message: 'a bundle was refused; the last good one stays active, if there is one',
  },
  'bundle.stale': {
    level: 'error',
    fields: { name: 'text', age_seconds: 'number' },
    message: 'the policy is older than its maximum staleness, every call is denied',
  },
  'bundle.aging': {
    level: 'warn',
    fields: { name: 'text', age_seconds: 'number' },
    message: 'the policy is older than its set wants it to be; it goes on deciding',
  },
  'bundle.source_failed': {
    level: 'warn',
    fields: { name: 'text', error: 'text' },
    message:
      'the source of the policy, or the copy of the last good one, did not work; it is tried again',
  },
  'audit.opened': {
    level: 'info',
    fields: { directory: 'text', size: 'number', key: 'text' },
    message: 'the audit log is open',
  },
  'audit.recovered': {
    level: 'warn',
    fields: { directory: 'text', bytes_dropped: 'number', interrupted: 'number' },
    message: 'the audit log was repaired after a crash',
  },
  'audit.failed': {
    level: 'error',
    fields: { op: 'text', error: 'text' },
    message: 'the audit log cannot be written, calls are refused',
  },
  'upload.registered': {
    level: 'info',
    fields: { client: 'text', sha256: 'text', bytes: 'number' },
    message: 'a file that a user provided was registered',
  },
  'fence.proven': {
    level: 'info',
    fields: { checks: 'number' },
    message: 'the redirect and the reject work from the side of the agent',
  },
  'fence.open': {
    level: 'error',
    fields: { check: 'text', found: 'text', expected: 'text' },
    message: 'a connection from the side of the agent is not held back; not ready',
  },
  'dns.tunnelling_suspected': {
    level: 'warn',
    fields: { client: 'text', parent: 'text', sign: 'text', queries: 'number', names: 'number' },
    message: 'queries look like an attempt to carry data in names; nothing left that way',
  },
  'identity.refused': {
    level: 'warn',
    fields: { listener: 'text', reason: 'text', decision_id: 'text' },
    message: 'a credential was refused',
  },
  'controller.starting': {
    level: 'info',
    fields: { version: 'text', config: 'text', namespace: 'text', identity: 'text' },
    message: 'starting',
  },
  'controller.listening': {
    level: 'info',
    fields: { listener: 'text', address: 'text', port: 'number' },
    message: 'listening',
  },
  'controller.leading': {
    level: 'info',
    fields: { identity: 'text', leads: 'flag' },
    message: 'leadership changed',
  },
  'controller.failed': {
    level: 'warn',
    fields: { operation: 'text', set: 'text', error: 'text' },
    message: 'something went wrong and is tried again',
  },
  'controller.stopped': {
    level: 'info',
    fields: { signal: 'text' },
    message: 'stopped',
  },
  'rollout.followed': {
    level: 'info',
    fields: {
      set: 'text',
      phase: 'text',
      rollout: 'text',
      generation: 'number',
      weight_percent: 'number',
    },
    message: 'the sidecar follows a directive',
  },
  'rollout.candidate_refused': {
    level: 'warn',
    fields: { set: 'text', digest: 'text', code: 'text', error: 'text' },
    message: 'the gate refused the candidate; the policy in force stays as it is',
  },
  'rollout.tripped': {
    level: 'error',
    fields: { set: 'text', rollout: 'text', digest: 'text' },
    message: 'the candidate failed too often; this sidecar takes itself out of the rollout',
  },
  'rollout.replayed': {
    level: 'info',
    fields: {
      set: 'text',
      rollout: 'text',
      decisions: 'number',
      not_replayable: 'number',
      newly_allowed: 'number',
      newly_denied: 'number',
      errors: 'number',
      seconds: 'number',
    },
    message: 'the recorded decisions were played against the candidate',
  },
  'rollout.replay_failed': {
    level: 'warn',
    fields: { set: 'text', rollout: 'text', error: 'text' },
    message: 'the recorded decisions could not be read; the replay is not done',
  },
  'rollout.moved': {
    level: 'info',
    fields: {
      set: 'text',
      phase: 'text',
      rollout: 'text',
      step: 'number',
      weight_percent: 'number',
      message: 'text',
    },
    message: 'the state of a policy set changed',
  },
  'rollout.event': {
    level: 'info',
    fields: { set: 'text', reason: 'text', text: 'text' },
    message: 'something happened to a rollout',
  },
  'rollout.invalid': {
    level: 'warn',
    fields: { set: 'text', error: 'text' },
    message: 'a policy set cannot be read; it stays as it was',
  },
  'log.suppressed': {
    level: 'warn',
    fields: { suppressed: 'text', count: 'number' },
    message: 'lines of an event that came too often were left out',
  },
} as const satisfies Readonly<Record<string, EventDeclaration>>;

export type LogEvent = keyof typeof EVENTS;

interface FieldTypes {
  readonly text: string | null;
  readonly number: number | null;
  readonly flag: boolean | null;
}

/** The fields of one event; each may be left out. */
export type Fields<E extends LogEvent> = {
  readonly [F in keyof (typeof EVENTS)[E]['fields']]?:
    | FieldTypes[(typeof EVENTS)[E]['fields'][F] & keyof FieldTypes]
    | undefined;
};
