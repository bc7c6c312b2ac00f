/** The reference of the policy input, rendered from its one description. Pure. */
import { anyPhaseJsonSchema } from '../decision/input-schema.ts';
import { page, table } from './reference.ts';

interface SchemaNode {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
}

export function renderInputReference(): string {
  return page('Policy input', [
    "What `input` is in Rego, `request` in a ToolCallReview: contract `egret.dev/v1`. Every field is always there; where one may be null that is said. What the agent wrote is in `tool.name` of unknown tools, `arguments`, `attachments` (name, type, content), `destination`, `http` and `mcp`; everything else is the sidecar's own knowledge, and no call can claim it.",
    'The same description is a JSON Schema for each phase, [policy-input-request.schema.json](policy-input-request.schema.json) and [policy-input-response.schema.json](policy-input-response.schema.json), for `opa check --schema`. `egret check` goes further: OPA takes any field below an object that may be null, `egret check` does not.',
    table(['field', 'type', 'meaning'], rows(anyPhaseJsonSchema() as SchemaNode, '')),
  ]);
}

function rows(node: SchemaNode, path: string): string[][] {
  const inner = notNull(node);
  const below = Object.entries(inner.properties ?? {}).flatMap(([name, child]) => {
    const at = path === '' ? name : `${path}.${name}`;
    return [[`\`${at}\``, typeName(child), child.description ?? ''], ...rows(child, at)];
  });
  const elements = inner.items?.properties === undefined ? [] : rows(inner.items, `${path}[]`);
  return [...below, ...elements];
}

function notNull(node: SchemaNode): SchemaNode {
  const [only, second] = node.anyOf?.filter(({ type }) => type !== 'null') ?? [];
  return only === undefined || second !== undefined ? node : only;
}

function typeName(node: SchemaNode): string {
  if (node.anyOf !== undefined) return node.anyOf.map(typeName).join(' or ');
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(', ');
  const { type = 'any value', items, additionalProperties } = node;
  if (type === 'array') return items === undefined ? 'list' : `list of ${plural(items)}`;
  if (type === 'object' && typeof additionalProperties === 'object') {
    const any = Object.keys(additionalProperties).length === 0;
    return any ? 'map' : `map of ${plural(additionalProperties)}`;
  }
  return type;
}

const plural = (node: SchemaNode): string =>
  node.type === 'array' ? `lists of ${plural(node.items ?? {})}` : `${node.type ?? 'value'}s`;
