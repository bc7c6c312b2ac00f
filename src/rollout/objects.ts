/**
 * Names, labels and annotations of the Kubernetes objects of a policy set, in one place. Git owns the set and the
 * bundles, the controller owns copies and state, sidecars only read.
 *
 * | object | name | label | who writes |
 * |---|---|---|---|
 * | set | any | `egret.dev/policy-set=<set>` | Git |
 * | bundle, one or several pieces | any | `egret.dev/bundle=<set>` | Git |
 * | copy, immutable | `<set>-<12 of the digest>-<piece>` | `egret.dev/copy=<set>` | controller |
 * | state | `<set>-state` | `egret.dev/state=<set>` | controller |
 *
 * Pure.
 */
export const LABELS = {
  set: 'egret.dev/policy-set',
  bundle: 'egret.dev/bundle',
  copy: 'egret.dev/copy',
  state: 'egret.dev/state',
} as const;

export const ANNOTATIONS = {
  /** `<verb>:<rollout id>[:<argument>]`, on the set; written by `egret rollout` or `kubectl annotate`. */
  command: 'egret.dev/command',
  /** Who gave the command, as far as the API server knows (stamped at admission), and why. */
  commandBy: 'egret.dev/command-by',
  commandReason: 'egret.dev/command-reason',
  /** Who changed the set last, as Git says it; for `fourEyes`. */
  author: 'egret.dev/author',
  /** Written by the controller on the set: what it thinks of it, one line. */
  status: 'egret.dev/status',
} as const;

export const stateName = (set: string): string => `${set}-state`;

/** @param digest `sha256:` and hexadecimal digits. */
export const copyName = (set: string, digest: string): string =>
  `${set}-${digest.replace('sha256:', '').slice(0, 12)}`;
