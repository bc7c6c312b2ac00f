/**
 * The WebAssembly host as an engine for conformance cases: the product's own loading, builtins, fuel and memory
 * bounds. Shell: reads compiled cases, makes WebAssembly instances.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OpaInstance } from '../../src/decision/opa-instance.ts';
import { compilePolicy, DEFAULT_LIMITS } from '../../src/decision/opa-wasm.ts';
import { parseRego, type RegoValue } from '../../src/decision/rego-value.ts';
import type { ConformanceEngine, Outcome } from './case.ts';

/** An instant in 2026. */
export const TIME_NS = 1_795_341_600_123_456_789n;
export const SEED = new Uint8Array(32).fill(7);

export const WASM_ENGINE: ConformanceEngine = {
  name: 'wasm',
  run: (one, folder): Outcome => {
    if (one.wasm === undefined) return { error: one.compile_error ?? 'not compiled' };
    try {
      const { parts } = compilePolicy(readFileSync(join(folder, one.wasm)), one.data ?? '{}');
      const instance = new OpaInstance(parts);
      instance.load();
      const input = one.input_term ?? one.input ?? null;
      const fuel = DEFAULT_LIMITS.fuelBase + DEFAULT_LIMITS.fuelPerCharacter * (input?.length ?? 0);
      const text = instance.evaluate(0, {
        input,
        timeNs: TIME_NS,
        seed: SEED,
        fuel,
        dialect: 'rego',
      });
      return { results: [...(parseRego(text) as Iterable<RegoValue>)] };
    } catch (error) {
      return { error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
    }
  },
};
