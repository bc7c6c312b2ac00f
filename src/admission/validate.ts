/**
 * A policy set at `kubectl apply`: a broken one is refused with the words of `egret rollout lint`, with places in its
 * `rollout.yaml`. Everything that is no policy set passes. Pure.
 */
import { LintUnreadable, lintPolicySets } from '../rollout/lint.ts';
import { LABELS } from '../rollout/objects.ts';
import { POLICY_SET_KEY } from '../rollout/policy-set.ts';
import type { Injection } from './inject.ts';

type Validation = Exclude<Injection, { kind: 'patch' }>;

interface ConfigMap {
  readonly metadata?: { readonly labels?: Readonly<Record<string, unknown>> | null } | null;
  readonly data?: Readonly<Record<string, unknown>> | null;
}

/** @param object what a ConfigMap is to become; null when it is deleted. */
export function validateConfigMap(object: unknown): Validation {
  const { metadata, data } = (object ?? {}) as ConfigMap;
  const label = metadata?.labels?.[LABELS.set];
  if (label === undefined) {
    return { kind: 'skip', reason: 'not_a_policy_set', message: 'no policy set' };
  }
  const problems = problemsOf(data?.[POLICY_SET_KEY], label);
  return problems.length === 0
    ? { kind: 'skip', reason: 'valid', message: 'no problem' }
    : { kind: 'refuse', reason: 'policy_set', message: problems.join('\n') };
}

function problemsOf(text: unknown, label: unknown): readonly string[] {
  if (typeof text !== 'string') {
    return [`data.${POLICY_SET_KEY}: found nothing, expected the text of a PolicySet`];
  }
  try {
    // In a ConfigMap, as people apply it, so that name and label are compared, too.
    const [placed, whole] = [text, manifestOf(text, label)].map((one) =>
      lintPolicySets(one, POLICY_SET_KEY),
    );
    return placed?.problems.length === 0 ? (whole?.problems ?? []) : (placed?.problems ?? []);
  } catch (error) {
    if (!(error instanceof LintUnreadable)) throw error;
    return [error.message];
  }
}

/** JSON is YAML. */
const manifestOf = (text: string, label: unknown) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'set', labels: { [LABELS.set]: label } },
    data: { [POLICY_SET_KEY]: text },
  });
