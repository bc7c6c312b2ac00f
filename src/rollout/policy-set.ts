/**
 * What Git says about a policy set: `rollout.yaml` in a ConfigMap with the label `egret.dev/policy-set`, contract
 * `egret.dev/v1alpha1` PolicySet. Shaped like a custom resource, so that it can become one unchanged. Every field says
 * its unit and default; unknown keys are errors. docs/rollout-reference.md is rendered from it. Pure.
 */
import { z } from 'zod';
import { readYaml, type YamlReading } from '../call/yaml-document.ts';
import { durationSchema } from './duration.ts';

export const POLICY_SET_KEY = 'rollout.yaml';

const dnsLabel = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/, 'expected a DNS label of at most 50 characters');
const dnsName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9.-]{0,238}[a-z0-9])?$/, 'expected the name of a ConfigMap');
const namespace = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected the name of a namespace');
const ratio = z.number().min(0).max(1);
const few = (max: number) => z.int().min(0).max(max);

const stepSchema = z.union(
  [
    z.strictObject({
      replay: z
        .strictObject({
          last: durationSchema.describe('How far back the recorded decisions go.'),
          newlyDeniedMax: ratio
            .default(0)
            .describe('Part of the replayed decisions that may become denials. Default 0.'),
          minDecisions: few(1_000_000)
            .default(1)
            .describe(
              'Fewer replayed decisions than this, in all sidecars together, hold the rollout. Default 1.',
            ),
        })
        .describe('Each sidecar plays its recorded decisions against the candidate.'),
    }),
    z.strictObject({
      shadow: durationSchema.describe(
        'Evaluate the candidate beside stable for so long, enforce stable only.',
      ),
    }),
    z.strictObject({
      weight: z
        .number()
        .min(0.01)
        .max(100)
        .describe('Percent of the units that the candidate takes part in deciding for.'),
      for: durationSchema.default(0).describe('At least so long. Default 0s.'),
    }),
    z.strictObject({
      pause: z
        .union([z.literal('approval').transform(() => null), durationSchema])
        .describe('`approval` waits for `egret rollout promote`; a duration for its end.'),
    }),
  ],
  { error: 'expected one of {replay}, {shadow}, {weight, for} and {pause}' },
);

const windowSchema = z.strictObject({
  days: z
    .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
    .min(1)
    .default(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])
    .describe('Days of the week on which the window opens. Default all.'),
  from: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected HH:MM')
    .describe('Local time at which it opens.'),
  to: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected HH:MM')
    .describe('Local time at which it closes; not after `from` means on the next day.'),
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, 'expected a time zone such as Europe/Berlin')
    .default('UTC')
    .describe('IANA time zone. Default UTC.'),
});

const checksSchema = z
  .strictObject({
    errorRatio: ratio
      .default(0.001)
      .describe('Evaluations of the candidate without a usable verdict. Hard. Default 0.001.'),
    newlyDenied: ratio
      .default(0.005)
      .describe('Calls that stable allows and the candidate does not. Default 0.005.'),
    newlyAllowed: z
      .enum(['pause', 'fail', 'ignore'])
      .default('pause')
      .describe(
        'What a call that stable denies and the candidate allows does: wait for a human, fail, or nothing. `ignore` needs `widen: unattended`. Default pause.',
      ),
    evalP99Ratio: z
      .number()
      .min(1)
      .max(1000)
      .default(2)
      .describe('Evaluation time of the candidate beside stable at p99. Default 2.'),
    evalP99SlackMs: z
      .number()
      .min(0)
      .max(60_000)
      .default(2)
      .describe('Milliseconds by which it may be slower whatever the ratio. Default 2.'),
    loadFailures: few(1_000_000)
      .default(0)
      .describe('Sidecars whose gate refused the candidate. Hard. Default 0.'),
    ackRatio: ratio
      .default(0.98)
      .describe('Part of the reporting sidecars that hold the candidate. Default 0.98.'),
  })
  .prefault({});

const prometheusSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .describe('Base URL of a Prometheus server, e.g. http://prometheus.monitoring:9090.'),
  queries: z
    .partialRecord(
      z.enum(['errorRatio', 'newlyDenied', 'newlyAllowed', 'evalP99Ratio', 'samples']),
      z.string().min(1).max(4096),
    )
    .describe(
      'PromQL by check; `{{set}}`, `{{rollout}}` and `{{window}}` are replaced. One number each; no number is no data.',
    ),
});

const analysisSchema = z
  .strictObject({
    interval: durationSchema.default(30_000).describe('Between two looks. Default 30s.'),
    minSamples: few(100_000_000)
      .default(200)
      .describe('Comparisons in a step below which nothing is concluded. Default 200.'),
    minSidecars: few(100_000)
      .default(1)
      .describe('Reporting sidecars below which nothing is concluded. Default 1.'),
    failureLimit: few(1000)
      .default(2)
      .describe('Failed looks in a rollout that are forgiven; hard checks never are. Default 2.'),
    inconclusiveLimit: few(10_000)
      .default(10)
      .describe('Looks without a conclusion after which the rollout pauses. Default 10.'),
    prometheus: prometheusSchema
      .optional()
      .describe('Ask Prometheus instead of the reports of the sidecars. Default: reports.'),
    checks: checksSchema.describe('Bounds.'),
  })
  .prefault({});

const specSchema = z
  .strictObject({
    candidate: z
      .strictObject({
        bundle: dnsName.describe('Name of the bundle ConfigMap (of several pieces: without -0).'),
        digest: z
          .string()
          .regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hexadecimal digits')
          .optional()
          .describe('Only this digest counts. Default: whatever the ConfigMap holds.'),
      })
      .describe('The bundle that should be in force.'),
    selector: z
      .strictObject({
        namespaces: z.array(namespace).max(256).optional().describe('Default all.'),
        podLabels: z
          .record(z.string().max(317), z.string().max(63))
          .refine((labels) => Object.keys(labels).length <= 32, 'expected at most 32 labels')
          .optional()
          .describe('Labels that a pod must have, all of them. Default none.'),
      })
      .prefault({})
      .describe('Sidecars that take part in a rollout; all others stay on stable. Default all.'),
    unit: z
      .enum(['agent', 'run', 'pod', 'namespace'])
      .default('agent')
      .describe(
        'What a weight is a part of. `run` is chosen by the agent, so it needs mode guarded. Default agent.',
      ),
    mode: z
      .enum(['guarded', 'candidate'])
      .default('guarded')
      .describe(
        'For units within the weight: allowed only if both revisions allow (guarded), or the candidate decides. Default guarded.',
      ),
    steps: z
      .array(stepSchema)
      .min(1)
      .max(50)
      .default([
        { shadow: 600_000 },
        { weight: 10, for: 600_000 },
        { weight: 50, for: 600_000 },
        { weight: 100, for: 600_000 },
      ])
      .describe('In order. Default shadow 10m, then 10, 50 and 100 percent for 10m each.'),
    analysis: analysisSchema.describe('When a step counts as good.'),
    onFailure: z
      .enum(['rollback', 'pause'])
      .default('rollback')
      .describe('After too many failed looks. Hard failures always roll back. Default rollback.'),
    deadline: durationSchema
      .default(86_400_000)
      .describe('A rollout that is not done by then is aborted. Default 1d.'),
    windows: z
      .array(windowSchema)
      .max(20)
      .default([])
      .describe('Steps begin only within one of these. Default always.'),
    widen: z
      .enum(['approval', 'unattended'])
      .default('approval')
      .describe('Whether a human must agree before a candidate may allow more. Default approval.'),
    fourEyes: z
      .boolean()
      .default(false)
      .describe(
        'A widening must be approved by somebody other than who changed the set last. Default false.',
      ),
    maxStaleness: z
      .strictObject({
        after: durationSchema.describe('Age of the last news of this set.'),
        action: z
          .enum(['warn', 'deny'])
          .default('warn')
          .describe('Only say so, or refuse calls with bundle.stale. Default warn.'),
      })
      .optional()
      .describe('What sidecars do that hear nothing. Default: they keep the last good policy.'),
  })
  .superRefine((spec, context) => {
    if (spec.unit === 'run' && spec.mode === 'candidate') {
      const message = 'expected mode guarded with unit run, which an agent chooses itself';
      context.addIssue({ code: 'custom', path: ['mode'], message });
    }
    if (spec.analysis.checks.newlyAllowed === 'ignore' && spec.widen !== 'unattended') {
      const path = ['analysis', 'checks', 'newlyAllowed'];
      const message = 'expected pause or fail, or widen: unattended';
      context.addIssue({ code: 'custom', path, message });
    }
    let before = 0;
    for (const [at, step] of spec.steps.entries()) {
      if (!('weight' in step)) continue;
      if (step.weight < before) {
        const message = `expected at least ${before}, the weight of an earlier step`;
        context.addIssue({ code: 'custom', path: ['steps', at, 'weight'], message });
      }
      before = step.weight;
    }
  });

export const policySetSchema = z.strictObject({
  apiVersion: z.literal('egret.dev/v1alpha1').describe('Version of this format.'),
  kind: z.literal('PolicySet').describe('Kind of this document.'),
  metadata: z
    .strictObject({ name: dnsLabel.describe('Name of the policy set.') })
    .describe('As in a Kubernetes object.'),
  spec: specSchema.describe('What should be.'),
});

export type PolicySet = z.output<typeof policySetSchema>;
export type PolicySetSpec = PolicySet['spec'];
export type RolloutStep = PolicySetSpec['steps'][number];
export type AnalysisSpec = PolicySetSpec['analysis'];

/** @param file name for messages only. Problems name file, line, path, what was found and what was expected. */
export const readPolicySet = (
  text: string,
  file: string = POLICY_SET_KEY,
): YamlReading<PolicySet> => readYaml(text, file, policySetSchema);

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
