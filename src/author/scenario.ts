/**
 * Scenario files: calls as reviews, HTTP requests or MCP messages, the facts beside them, and what a policy is expected
 * to say. Strict: an unknown key is an error with file, line and path, because a misspelt expectation would test
 * nothing. Pure.
 */
import { z } from 'zod';
import { REASONS } from '../decision/reason.ts';
import { MUTATION_KINDS } from './mutation.ts';
import { statedFacts } from './stated-facts.ts';

const text = z.string().max(1_000_000);
const headers = z.record(z.string(), z.union([text, z.array(text).max(100)])).default({});
const url = z.url({ protocol: /^https?$/ });
const target = z.strictObject({ url });

const http = z
  .strictObject({
    method: z.string().min(1).max(32).default('GET'),
    url: text.min(1),
    headers,
    body: z.union([text, z.record(z.string(), z.json()), z.array(z.json())]).optional(),
    /** Relative to the scenario file; sent byte for byte. */
    bodyFile: text.optional(),
    listener: z.enum(['proxy', 'gateway', 'capture']).default('proxy'),
  })
  .refine(({ body, bodyFile }) => body === undefined || bodyFile === undefined, {
    message: 'expected at most one of body and bodyFile',
  });

const mcp = z.strictObject({
  server: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'expected a server name'),
  /** A JSON-RPC message, or the text that is sent in its place. */
  message: z.union([text, z.record(z.string(), z.json()), z.array(z.json())]),
  headers,
});

const mutationName = z
  .string()
  .refine((name) => (MUTATION_KINDS as readonly string[]).includes(name.split(' ', 1)[0] ?? ''), {
    message: `expected one of ${MUTATION_KINDS.join(', ')}, and a pointer behind it if wanted`,
  });

const expectation = z.strictObject({
  outcome: z.enum(['allow', 'deny', 'require_approval']),
  /** A reason code of Egret, or the code of a rule that must be among the reasons. */
  reason: z.string().min(1).max(256).optional(),
  /** Each must be part of an obligation of the verdict; an empty list: there must be none. */
  obligations: z.array(z.record(z.string(), z.json())).max(100).optional(),
});

const scenario = z
  .strictObject({
    name: z.string().min(1).max(256),
    review: z.record(z.string(), z.unknown()).optional(),
    http: http.optional(),
    mcp: mcp.optional(),
    facts: statedFacts.default({}),
    expect: expectation,
    /** Mutations of this call that a policy may allow, too: a kind, or a kind and a pointer. */
    still_allowed: z.array(mutationName).max(100).default([]),
  })
  .refine((one) => [one.review, one.http, one.mcp].filter((x) => x !== undefined).length === 1, {
    message: 'expected exactly one of review, http and mcp',
  })
  .refine(
    ({ review, facts }) =>
      review !== undefined || !('scope' in facts || 'context' in facts || 'state' in facts),
    {
      message: 'scope, context and state can be stated with a review only',
      path: ['facts'],
    },
  );

export const scenarioFile = z
  .strictObject({
    apiVersion: z.literal('egret.dev/v1').optional(),
    kind: z.literal('Scenarios').optional(),
    /** As in the configuration of the sidecar. */
    mcpServers: z.record(z.string(), target).default({}),
    tools: z.record(z.string(), target).default({}),
    /** For every scenario that does not say otherwise. */
    facts: statedFacts.default({}),
    scenarios: z.array(scenario).min(1).max(100_000),
  })
  .refine(({ scenarios }) => new Set(scenarios.map(({ name }) => name)).size === scenarios.length, {
    message: 'expected a name of its own for each scenario',
    path: ['scenarios'],
  });

export type ScenarioFile = z.output<typeof scenarioFile>;
export type Scenario = ScenarioFile['scenarios'][number];
export type Expectation = Scenario['expect'];

/** Codes that are Egret's own and stand for the whole decision. */
export const isReasonCode = (code: string): boolean => Object.hasOwn(REASONS, code);
