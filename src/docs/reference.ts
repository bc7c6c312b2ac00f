/**
 * References rendered from the declarations themselves, so that they cannot disagree with the program: metrics,
 * reason codes and configuration as Markdown. Pure.
 */
import { REASONS, type Reason } from '../decision/reason.ts';
import { CONTROLLER_METRICS } from '../telemetry/controller-metric.ts';
import { METRICS, type MetricDeclaration } from '../telemetry/metric-catalogue.ts';

const GENERATED = '<!-- Rendered from source by `make docs`. Do not edit. -->';

const metricTable = (metrics: Readonly<Record<string, MetricDeclaration>>) => {
  const rows = Object.values(metrics).map((metric) => [
    `\`${metric.name}\``,
    metric.exemplars === true ? `${metric.type}, exemplars` : metric.type,
    metric.unit,
    metric.labels.map((label) => `\`${label}\``).join(', ') || '–',
    metric.help,
  ]);
  return table(['metric', 'type', 'unit', 'labels', 'meaning'], rows);
};

export function renderMetricReference(): string {
  return page('Metrics', [
    'Prometheus metrics of `egret sidecar`, served as OpenMetrics text under `/metrics` of the admin listener.',
    'Label values are bounded: `tool` names a tool of the catalogue (at most 500, the rest is `other`), `reason` is a [reason code](reason-codes.md), everything else is a closed set or a configured name. Exemplars hold the `trace_id` of a sampled call.',
    metricTable(METRICS),
    '## Controller',
    'Metrics of `egret controller`, served in the same way. The metrics of watches (`egret_kube_…`) are there, too. `set` is a policy set, `phase` and `reason` are those of a [rollout](rollout.md).',
    metricTable(CONTROLLER_METRICS),
  ]);
}

export function renderReasonReference(): string {
  const rows = Object.entries<Reason>(REASONS).map(([code, reason]) => [
    `\`${code}\``,
    String(reason.status),
    String(reason.rpc),
    reason.retryable ? 'yes' : 'no',
    reason.requestable ? 'yes' : 'no',
    reason.text,
  ]);
  return page('Reason codes', [
    'Why a call was allowed, refused or held. The same code stands in the refusal, the log, the metric label, the audit record and the Rego library.',
    'Retryable: the same call may succeed later without any change. Requestable: a person could grant it.',
    table(['code', 'HTTP', 'JSON-RPC', 'retryable', 'requestable', 'text for the agent'], rows),
  ]);
}

/** What is read of a JSON Schema node. */
interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
  readonly minimum?: number;
  readonly maximum?: number;
}

/** How deep a schema is followed; deeper ones do not occur. */
const DEPTH_MAX = 12;

/**
 * @param jsonSchema what zod's `toJSONSchema(configSchema, { io: 'input' })` returns. `*` stands for any name in a
 * map, `[]` for an element of a list.
 */
export function renderConfigReference(jsonSchema: object): string {
  return page('Configuration', [
    'Every field of the file that `egret sidecar --config` reads (YAML). Unknown fields are errors. `*` stands for any name, `[]` for each element. Relative paths are relative to the file. Secrets never stand in it.',
    '`egret sidecar --config FILE --check` says every problem of the file and of what it names, and starts and writes nothing: places that no call may reach, tokens, verification keys, roots and pins, the key of the audit log, the files of the source, and whether the bundle that is in the directory passes the gate. Exit code 2 when it says one. A directory without a bundle is a note: it may be filled later.',
    table(
      ['field', 'type', 'default', 'meaning'],
      configRows(jsonSchema as SchemaNode, '', true, 0),
    ),
  ]);
}

export function renderControllerReference(jsonSchema: object): string {
  return page('Configuration of the controller', [
    'Every field of the file that `egret controller --config` reads (YAML). Unknown fields are errors. `[]` stands for each element. Relative paths are relative to the file. Secrets never stand in it. What a controller needs around it: [controller](controller.md).',
    table(
      ['field', 'type', 'default', 'meaning'],
      configRows(jsonSchema as SchemaNode, '', true, 0),
    ),
  ]);
}

/**
 * @param jsonSchema what zod's `toJSONSchema(policySetSchema, { io: 'input' })` returns. It knows no defaults of values
 * that are read from text, such as durations, so the sentences name them.
 */
export function renderRolloutReference(jsonSchema: object): string {
  const rows = configRows(jsonSchema as SchemaNode, '', true, 0);
  return page('rollout.yaml', [
    'Every field of `rollout.yaml`, the file of a policy set ([rollouts](rollout.md)). Unknown fields are errors. `*` stands for any name, `[]` for each element. A step has exactly one of `replay`, `shadow`, `weight` and `pause`. Durations are written as `90s`, `10m`, `1h30m` or `2d`, at most `90d`; a fraction of 1 is a ratio.',
    table(
      ['field', 'type', 'required', 'meaning'],
      rows.map(([path = '', type = '', fallback = '', meaning = '']) => {
        return [path, type, fallback === 'required' ? 'yes' : 'no', meaning];
      }),
    ),
  ]);
}

function configRows(node: SchemaNode, path: string, required: boolean, depth: number): string[][] {
  if (depth > DEPTH_MAX) return [];
  const silent = path === '' || (isElement(path) && node.description === undefined);
  const own = silent ? [] : [configRow(node, path, required)];
  const below = Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const childPath = path === '' ? name : `${path}.${name}`;
    return configRows(child, childPath, node.required?.includes(name) ?? false, depth + 1);
  });
  const elements =
    node.items === undefined ? [] : configRows(node.items, `${path}[]`, true, depth + 1);
  const values = isMap(node.additionalProperties)
    ? configRows(node.additionalProperties, `${path}.*`, true, depth + 1)
    : [];
  // Of alternatives each field is there or not.
  const alternatives = (node.anyOf ?? []).flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([name, child]) =>
      configRows(child, `${path}.${name}`, false, depth + 1),
    ),
  );
  return [...own, ...below, ...elements, ...values, ...alternatives];
}

const isMap = (values: SchemaNode['additionalProperties']): values is SchemaNode =>
  typeof values === 'object' && Object.keys(values).length > 0;

function configRow(node: SchemaNode, path: string, required: boolean): string[] {
  // Defaults of sections are the defaults of their fields, which have rows of their own.
  const simple = node.default !== undefined && node.properties === undefined;
  const fallback = simple ? `\`${JSON.stringify(node.default)}\`` : '–';
  return [
    `\`${path}\``,
    typeName(node),
    required && !isElement(path) && node.default === undefined ? 'required' : fallback,
    node.description ?? '',
  ];
}

const isElement = (path: string) => path.endsWith('[]') || path.endsWith('.*');

function typeName(node: SchemaNode): string {
  if (node.const !== undefined) return `\`${String(node.const)}\``;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (node.anyOf !== undefined) return node.anyOf.map(typeName).join(' or ');
  const name = [node.type ?? 'any'].flat().join(' or ');
  const { minimum, maximum } = node;
  if (minimum !== undefined && maximum !== undefined) return `${name} ${minimum} to ${maximum}`;
  if (name === 'object' && isMap(node.additionalProperties)) return 'map';
  return name === 'array' ? 'list' : name;
}

export function page(title: string, parts: readonly string[]): string {
  return `${[`# ${title}`, GENERATED, ...parts].join('\n\n')}\n`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

/** Text that cannot break out of its cell or start HTML; code spans are literal already. */
function cell(text: string): string {
  const oneLine = text.replaceAll('|', '\\|').replaceAll(/[\r\n]+/g, ' ');
  const parts = oneLine.split('`');
  return parts.map((part, at) => (at % 2 === 1 ? part : part.replaceAll('<', '&lt;'))).join('`');
}
