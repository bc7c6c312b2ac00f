/**
 * Reads a configuration file into a Config, or says what is wrong with it: file, place, what was found and what was
 * expected. Relative paths in the file are relative to the file. `env:NAME` names a variable that holds the text instead,
 * with paths relative to the working directory. Shell: owns nothing, reads one file.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import type { BundleConfig, ServerConfig } from './bundle.ts';
import { type Config, configSchema } from './schema.ts';

/** Exit code 2: the message is meant for a person and names the file and the path in it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * @throws ConfigError when the file cannot be read, is not YAML or does not fit the schema.
 */
export const loadConfig = (file: string): Config =>
  absolutePaths(parseConfig(readConfigFile(file), file), dirname(resolve(file)));

const VARIABLE = 'env:';

/** @throws ConfigError when it cannot be read. */
export function readConfigFile(file: string): string {
  if (file.startsWith(VARIABLE)) {
    const text = process.env[file.slice(VARIABLE.length)];
    if (text !== undefined) return text;
    throw new ConfigError(`${file}: cannot be read: the variable is not set`);
  }
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** As `loadConfig`, on text; paths stay as they are written. */
export const parseConfig = (text: string, file: string): Config =>
  parseDocumentOf(configSchema, text, file);

/** A YAML document of any of our schemas. @throws ConfigError when it is not YAML or does not fit. */
export function parseDocumentOf<S extends z.ZodType>(
  schema: S,
  text: string,
  file: string,
): z.output<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    maxAliasCount: 0,
  } as never);
  const broken = document.errors[0];
  if (broken !== undefined) {
    const at = lines.linePos(broken.pos[0]);
    throw new ConfigError(
      `${file}:${at.line}:${at.col}: not valid YAML: ${firstLine(broken.message)}`,
    );
  }
  const value = plainValue(document, file);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const place = (path: readonly PropertyKey[]) => {
    const node = document.getIn(path as string[], true) as { range?: [number] } | undefined;
    const at = node?.range === undefined ? null : lines.linePos(node.range[0]);
    return at === null ? file : `${file}:${at.line}:${at.col}`;
  };
  const problems = parsed.error.issues.map(
    (issue) => `${place(issue.path)}: ${renderPath(issue.path)}: ${sentence(issue, value)}`,
  );
  throw new ConfigError(problems.join('\n'));
}

/** Aliases are refused: a few of them can stand for more than any memory holds. */
function plainValue(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new ConfigError(`${file}: found a YAML alias, expected every value written out`, {
      cause: error,
    });
  }
}

function sentence(issue: z.core.$ZodIssue, root: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    return `found unknown key ${issue.keys.map((key) => `"${key}"`).join(', ')}, expected only documented keys`;
  }
  if (issue.code === 'invalid_key') {
    return `found the key ${JSON.stringify(issue.path.at(-1))}, ${issue.issues[0]?.message}`;
  }
  let found: unknown = root;
  for (const key of issue.path) found = (found as Record<PropertyKey, unknown> | undefined)?.[key];
  // A URL may hold a password, which is the very mistake.
  const json = JSON.stringify(found)?.replace(/(\/\/)[^"]*@/g, '$1…@');
  const shown = found === undefined ? 'nothing' : json?.slice(0, 80);
  return `found ${shown}, ${issue.message.replace(/^Invalid input: /, '')}`;
}

function renderPath(path: readonly PropertyKey[]): string {
  return path.length === 0 ? '(document)' : path.map(String).join('.');
}

const firstLine = (text: string) => text.split('\n', 1)[0] ?? '';

/** Every path of a bundle; what is not there stays away. */
function absoluteBundle(bundle: BundleConfig, at: (path: string) => string): BundleConfig {
  const { directory, configMap, distributor, http, lastGoodDirectory, reports } = bundle;
  const server = <S extends ServerConfig>({ tokenFile, caFile, ...rest }: S) => ({
    ...rest,
    ...(tokenFile === undefined ? {} : { tokenFile: at(tokenFile) }),
    ...(caFile === undefined ? {} : { caFile: at(caFile) }),
  });
  const { verification } = bundle;
  const { kubeconfig } = configMap ?? {};
  return {
    ...bundle,
    ...(directory === undefined ? {} : { directory: at(directory) }),
    ...(configMap === undefined || kubeconfig === undefined
      ? {}
      : { configMap: { ...configMap, kubeconfig: at(kubeconfig) } }),
    ...(distributor === undefined ? {} : { distributor: server(distributor) }),
    ...(http === undefined ? {} : { http: server(http) }),
    ...(lastGoodDirectory === undefined ? {} : { lastGoodDirectory: at(lastGoodDirectory) }),
    ...(reports === undefined ? {} : { reports: server(reports) }),
    ...(verification === undefined
      ? {}
      : { verification: { ...verification, keys: verification.keys.map(absoluteKey(at)) } }),
  };
}

type KeyConfig = NonNullable<Config['bundles'][number]['verification']>['keys'][number];

export const absoluteKey = (at: (path: string) => string) => (key: KeyConfig) =>
  key.file === undefined ? key : { ...key, file: at(key.file) };

function absolutePaths(config: Config, base: string): Config {
  const at = (path: string) => resolve(base, path);
  const { keyFile, openingsDirectory } = config.audit;
  const { rootsFile, caFiles } = config.upstream;
  return {
    ...config,
    ...(config.tls === undefined
      ? {}
      : { tls: { ...config.tls, trustDirectory: at(config.tls.trustDirectory) } }),
    upstream: {
      ...config.upstream,
      ...(rootsFile === undefined ? {} : { rootsFile: at(rootsFile) }),
      caFiles: Object.fromEntries(Object.entries(caFiles).map(([to, file]) => [to, at(file)])),
    },
    bundles: config.bundles.map((bundle) => absoluteBundle(bundle, at)),
    audit: {
      ...config.audit,
      directory: at(config.audit.directory),
      ...(keyFile === undefined ? {} : { keyFile: at(keyFile) }),
      ...(openingsDirectory === undefined ? {} : { openingsDirectory: at(openingsDirectory) }),
    },
    decisionApi: {
      clients: config.decisionApi.clients.map((client) =>
        client.tokenFile === undefined ? client : { ...client, tokenFile: at(client.tokenFile) },
      ),
    },
  };
}
