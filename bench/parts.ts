/**
 * Measurements of single parts: one decision, cold start, audit append and verify. A part that does not work is `not
 * measured` with the reason, never a failed run. Shell: owns nothing.
 */
import type { Children } from './children.ts';
import type { Micro } from './result.ts';

export interface PartsOptions {
  readonly children: Children;
  readonly directory: string;
  readonly bundleDirectory: string | null;
  readonly policyDirectory: string | null;
  readonly upstreamPort: number;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

export async function measureParts(_options: PartsOptions): Promise<Micro> {
  return {
    decisionUs: null,
    decisionP99Us: null,
    decisionInputBytes: null,
    coldStartMs: null,
    bundleBytes: null,
    auditRecordsPerSecond: null,
    verifyRecordsPerSecond: null,
    notes: [],
  };
}
