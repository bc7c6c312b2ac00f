/**
 * The policy input described once, field by field: what `input` is in Rego. The reference for authors, the schema that
 * `egret check` gives to OPA and the one that other tools read are all made of it; tests compare it with the type and
 * with inputs of real calls. Pure.
 */
import { z } from 'zod';

const text = z.string();
const nullable = <T extends z.ZodType>(type: T) => type.nullable();
const texts = z.array(text);
const multimap = z.record(text, texts);
const anyObject = z.record(text, z.unknown());
const list = <T extends z.ZodType>(item: T) => z.array(item);

const run = z.strictObject({
  id: text.describe('Identity of the run of the agent.'),
  step: z.int().describe('Number of this call in the run.'),
  trace_id: text.describe('W3C trace id, 32 lower-case hexadecimal digits.'),
});

const agent = z.strictObject({
  id: text.describe('Who makes the call, as the operator says.'),
  verified_by: text.describe('Where the identity comes from, e.g. `sidecar-config`.'),
  assurance: z
    .enum(['none', 'network', 'token', 'signature'])
    .describe('How well the identity is proven.'),
  key_thumbprint: nullable(text).describe('Thumbprint of the key that signed; null without one.'),
});

const user = z.strictObject({
  id: text.describe('The user.'),
  groups: texts.describe('Groups of the user.'),
  verified_by: text.describe('Who says so.'),
});

const workload = z.strictObject({
  namespace: nullable(text).describe('Kubernetes namespace; null outside.'),
  pod: nullable(text).describe('Name of the pod.'),
  uid: nullable(text).describe('UID of the pod.'),
  service_account: nullable(text).describe('Service account of the pod.'),
  labels: z.record(text, text).describe('Labels from the configuration.'),
});

const tool = z.strictObject({
  name: text.describe(
    'Name in the catalogue such as `gmail.send`; `<server>.<tool>` for an unknown MCP tool, `http.<method>` for an unknown request.',
  ),
  server: nullable(text).describe('Configured MCP server or HTTP tool; null for the proxy.'),
  operation: z
    .enum(['read', 'write', 'list', 'connect', 'unknown'])
    .describe('What the call does, as the catalogue says.'),
  risk: z.enum(['low', 'medium', 'high']).describe('Risk, as the catalogue says.'),
  sink: nullable(text).describe('What kind of place data ends up in, e.g. `mail`.'),
  known: z.boolean().describe('True when the catalogue names this tool.'),
  definition_hash: nullable(text).describe(
    'SHA-256 (hex) of the definition that the server announced; null when unknown.',
  ),
});

const attachment = z.strictObject({
  name: text.describe('File name.'),
  media_type: text.describe('Media type.'),
  bytes: z.number().describe('Decoded size.'),
  sha256: text.describe('Lower-case hex of the decoded bytes.'),
  source: z
    .enum(['explicit_user_upload', 'unknown'])
    .describe('`explicit_user_upload` when a front end registered exactly these bytes.'),
  age_minutes: nullable(z.number()).describe(
    'Minutes since the newest registration; null when the source is unknown.',
  ),
});

const destination = z.strictObject({
  scheme: text.describe('`http`, `https`, or `tcp` for a tunnel.'),
  host: text.describe('Lower-case host without a trailing dot.'),
  port: z.int().describe('Port.'),
  path: text.describe('Normal form of the path, percent-encoded, without the query.'),
  segments: texts.describe('Decoded segments of the path.'),
  query: multimap.describe('Query by name, each with its values.'),
  ip: nullable(text).describe('Address the call will go to; null when not resolved yet.'),
  ip_class: nullable(text).describe('What kind of address that is; null as above.'),
  tls_intercepted: z.boolean().describe('True when the sidecar reads inside TLS.'),
});

const response = z.strictObject({
  status: z.int().describe('HTTP status of the answer.'),
  is_error: z.boolean().describe('True when the tool says that it failed.'),
  bytes: z.number().describe('Size of the answer.'),
  content: z.unknown().describe('The answer, as far as it could be read.'),
});

export type Phase = 'request' | 'response';

const fields = {
  uid: text.describe('UUIDv7 of the decision.'),
  phase: z
    .enum(['request', 'response'])
    .describe('`request` before the call is sent, `response` before its answer is given.'),
  time: text.describe('RFC 3339, UTC, with milliseconds.'),
  time_ns: z
    .int()
    .describe('Nanoseconds since 1970, an exact integer; what `time.now_ns()` returns.'),
  environment: text.describe('Environment the operator configured, e.g. `prod`.'),
  run: run.describe('The run of the agent.'),
  agent: agent.describe('Who makes the call.'),
  user: nullable(user).describe('Null when nobody proved to be behind the run.'),
  workload: workload.describe('The pod, as the sidecar sees it.'),
  tool: tool.describe('Which tool is called.'),
  arguments: anyObject.describe(
    'Arguments by name: path, query, form, JSON body, mail or MCP arguments. Written by the agent.',
  ),
  arguments_state: z
    .enum(['parsed', 'none', 'opaque', 'too_large'])
    .describe(
      '`parsed`: all of it is in `arguments`. `opaque`: there is a body nobody could read.',
    ),
  attachments: list(attachment).describe('Files inside the call.'),
  destination: destination.describe('Where the call goes.'),
  http: z
    .strictObject({
      method: text.describe('Method.'),
      headers: multimap.describe('Headers by lower-case name; credentials are left out.'),
    })
    .describe('The HTTP request.'),
  mcp: nullable(
    z.strictObject({
      version: text.describe('Protocol version.'),
      method: text.describe('JSON-RPC method.'),
    }),
  ).describe('Null outside MCP.'),
  scope: z
    .strictObject({
      kind: z.enum(['user', 'shared', 'none']).describe('Whose context this run is.'),
      id: nullable(text).describe('Which one.'),
    })
    .describe('Whose context this run is.'),
  context: z
    .strictObject({
      labels: texts.describe('Labels of what the run has read.'),
      inputs: list(anyObject).describe('What the run has read.'),
    })
    .describe('What this run has read so far.'),
  state: z
    .strictObject({
      limits: anyObject.describe('Counters by name.'),
      history: list(anyObject).describe('Earlier calls of the run.'),
      approval: nullable(anyObject).describe('The approval of this call; null without one.'),
      break_glass: nullable(anyObject).describe('The emergency in force; null without one.'),
    })
    .describe('What the sidecar remembers.'),
};

/** Both phases have the same fields; `response` is null in the phase `request`. */
export const policyInputSchema = z.strictObject({
  ...fields,
  response: nullable(response).describe('The answer of the tool; null in the phase `request`.'),
});

const PHASES = {
  request: z.strictObject({ ...fields, phase: z.literal('request'), response: z.null() }),
  response: z.strictObject({ ...fields, phase: z.literal('response'), response }),
};

type Node = Readonly<Record<string, unknown>>;

/** JSON Schema of the input in one phase, for `opa check --schema` and for every other tool. */
export function inputJsonSchema(phase: Phase): Node {
  return { $id: `egret.dev/v1/input-${phase}`, ...jsonSchema(PHASES[phase]) };
}

/** JSON Schema of the input in either phase. */
export const anyPhaseJsonSchema = (): Node => jsonSchema(policyInputSchema);

/** OPA reads a list of types as its first one and would refuse `input.tool.sink == null`; alternatives it takes. */
const jsonSchema = (schema: z.ZodType): Node => {
  const split = (node: Node): Node => {
    const { type, ...rest } = node;
    return Array.isArray(type)
      ? { anyOf: type.map((one: string) => ({ type: one })), ...rest }
      : node;
  };
  return mapped(z.toJSONSchema(schema), split) as Node;
};

/**
 * OPA knows no null in schemas and takes anything where null may be, so a misspelt field below such an object would
 * pass. Here objects are never null: good for finding fields that do not exist, wrong for comparing types.
 */
export const withoutNulls = (schema: Node): Node =>
  mapped(schema, (node) => {
    const { anyOf, ...rest } = node as { anyOf?: readonly Node[] };
    const [only, second] = (anyOf ?? []).filter(({ type }) => type !== 'null');
    return only === undefined || second !== undefined ? node : { ...only, ...rest };
  }) as Node;

function mapped(value: unknown, change: (node: Node) => Node): unknown {
  if (Array.isArray(value)) return value.map((item) => mapped(item, change));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(change(value as Node));
  return Object.fromEntries(entries.map(([key, item]) => [key, mapped(item, change)]));
}
