// Who may import whom, and which files are pure. A folder of src without a row here may import nothing.
import type { Import, SourceFile, Violation } from './source-tree.ts';

/** Folders a folder may import from besides itself; a name with a dot is one file. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  call: ['decision/reason.ts'],
  telemetry: ['decision/reason.ts', 'call/tool-call.ts'],
  config: [],
  decision: ['call'],
  limit: ['call', 'decision'],
  approval: ['call', 'decision'],
  scope: ['call', 'decision'],
  identity: ['call', 'decision'],
  credential: ['call', 'decision'],
  state: ['decision/reason.ts'],
  bundle: ['call', 'config/bundle.ts', 'decision', 'plan'],
  plan: ['decision'],
  rollout: ['call', 'decision', 'audit/canonical.ts'],
  source: ['bundle', 'rollout', 'kubernetes', 'config/bundle.ts'],
  kubernetes: [],
  audit: ['call', 'decision'],
  mcp: ['call', 'decision'],
  admission: [
    'config/admission.ts',
    'config/schema.ts',
    'rollout',
    'tls/environment.ts',
    'tls/trust.ts',
    'control/admin.ts',
  ],
  tls: ['call'],
  dns: ['call'],
  redirect: ['config/schema.ts'],
  proxy: ['call', 'decision', 'audit', 'mcp', 'telemetry', 'tls'],
  control: ['call', 'decision', 'config', 'telemetry'],
  author: [
    'call',
    'decision',
    'bundle',
    'audit',
    'mcp',
    'proxy',
    'rollout',
    'plan',
    'config/schema.ts',
    'control/review.ts',
    'sidecar/facts.ts',
  ],
  docs: ['decision', 'telemetry', 'config', 'rollout/policy-set.ts'],
};
/** They put the parts together and may import everything below; nothing imports them but the ones to their right. */
const COMPOSITION = ['sidecar', 'controller', 'cli', 'main.ts'];
/** Constants of the build, for everybody. */
const SHARED = ['version.ts'];

export function wrongDirections(imports: readonly Import[]): Violation[] {
  return imports.flatMap(({ file, line, target }) => {
    if (!file.path.startsWith('src/') || target === null) return [];
    const from = partOf(file.path);
    const to = partOf(target);
    const allowed = from === to || SHARED.includes(to) || mayImport(from, target, to);
    return allowed ? [] : [`${file.path}:${line}: ${from} may not import ${target}`];
  });
}

function mayImport(from: string, target: string, to: string): boolean {
  const rank = COMPOSITION.indexOf(from);
  if (rank !== -1) return COMPOSITION.indexOf(to) < rank;
  const allowed = MAY_IMPORT[from] ?? [];
  return allowed.includes(to) || allowed.includes(target.replace(/^src\//, ''));
}

const partOf = (path: string) => path.replace(/^src\//, '').split('/')[0] ?? '';

const PURE = [
  /^src\/call\//,
  /^src\/decision\/(verdict|verdict-from-result|reason|input|enforcement|engine|obligation|wasm-fuel|wasm-binary|builtins?(-[a-z]+)*)\.ts$/,
  /^src\/audit\/(entry|tree|checkpoint|canonical|tile|proof|commitment)\.ts$/,
  /^src\/bundle\/(archive|archive-writer|manifest)\.ts$/,
  /^src\/mcp\/codec\.ts$/,
  /^src\/proxy\/(refusal|address)\.ts$/,
  /^src\/telemetry\/(trace-context|semconv|redaction|metric-catalogue|log-event)\.ts$/,
  /^src\/config\/schema\.ts$/,
  /^src\/docs\/reference\.ts$/,
];

const IMPURE_MODULES =
  /^(node:)?(fs|net|tls|http|https|http2|dgram|dns|timers|process|child_process|worker_threads|cluster|perf_hooks|inspector|vm)(\/|$)/;
const IMPURE_CALLS =
  /\b(Date\.now\(|new Date\(\)|performance\.(now|timeOrigin)|Math\.random|random(Bytes|UUID|Int|FillSync|Fill)\(|getRandomValues|set(Timeout|Interval|Immediate)\(|queueMicrotask\(|process\.(env|hrtime|cwd|stdout|stderr|exit|nextTick|memoryUsage)|fetch\()/;

/** Listed as pure, or says so itself in its first comment. */
const isPure = ({ path, text }: SourceFile) =>
  PURE.some((pattern) => pattern.test(path)) ||
  (/^src\//.test(path) && /\bPure[.,;]/.test(firstComment(text)));

export function impurities(file: SourceFile, imports: readonly Import[]): Violation[] {
  if (!isPure(file)) return [];
  const modules = imports
    .filter(({ specifier, typeOnly }) => !typeOnly && IMPURE_MODULES.test(specifier))
    .map(({ line, specifier }) => `${file.path}:${line}: a pure file imports ${specifier}`);
  const calls = file.lines.flatMap((line, at) => {
    const found = /^\s*(\*|\/\/|\/\*)/.test(line) ? null : IMPURE_CALLS.exec(line);
    return found === null ? [] : [`${file.path}:${at + 1}: a pure file uses ${found[0]}`];
  });
  return [...modules, ...calls];
}

/** The comment a file starts with; empty when it starts with something else. */
export function firstComment(text: string): string {
  const body = text.replace(/^#![^\n]*\n/, '');
  return /^\/\*\*?[\s\S]*?\*\//.exec(body)?.[0] ?? /^(\/\/[^\n]*\n)+/.exec(body)?.[0] ?? '';
}
