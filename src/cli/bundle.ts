/**
 * `egret bundle`: what a policy author does with the artefact that will run: build it, sign it, verify it, look into it
 * and turn it into ConfigMaps. Exit codes: 0 good, 1 refused by verify, 2 wrong use, unreadable input or a failed build.
 * Shell: runs the compiler through bundle/, reads and writes files.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { readArchive } from '../bundle/archive.ts';
import { writeArchive } from '../bundle/archive-writer.ts';
import { buildBundle, DEFAULT_ENTRYPOINTS } from '../bundle/build.ts';
import { builtInCatalogue } from '../bundle/built-in.ts';
import { type NamedBundle, readBundle } from '../bundle/bundle-file.ts';
import { CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, renderConfigMaps } from '../bundle/configmap.ts';
import { inspectBundle } from '../bundle/inspection.ts';
import { opaProgram } from '../bundle/opa-program.ts';
import { planOpinion } from '../bundle/plan-opinion.ts';
import { withLibrary } from '../bundle/repository.ts';
import { SIGNATURES_FILE, type SignOptions, signatureOver } from '../bundle/signature.ts';
import { type OpinionSource, verifyBundle } from '../bundle/verify-bundle.ts';
import {
  type SigningOptions,
  signingFrom,
  type VerifyingOptions,
  verificationFrom,
  withSigningOptions,
  withVerifyingOptions,
} from './bundle-keys.ts';
import { renderInspection, renderVerification } from './bundle-report.ts';
import { KitError, progressOf, REFUSED, runVerb, say, sayJson } from './kit-verb.ts';

const GENERATED_DEFAULT = 500;
const UNUSABLE_HELP = '2 wrong use or unreadable input.';
const NAMED = 'a .tar.gz archive, a directory with one, an unpacked bundle, or YAML of ConfigMaps';

/** Engines that are asked besides the reference host. */
const SECOND_OPINIONS: readonly OpinionSource[] = [planOpinion];

export function bundleCommand(): Command {
  const bundle = new Command('bundle').description('build, sign, verify and ship policy bundles');
  addBuild(bundle);
  addSign(bundle);
  addVerify(bundle);
  addInspect(bundle);
  addConfigMap(bundle);
  return bundle;
}

interface BuildVerbOptions extends SigningOptions {
  readonly output: string;
  readonly entrypoint?: readonly string[];
  readonly revision?: string;
  readonly json?: true;
}

function addBuild(bundle: Command): void {
  withSigningOptions(bundle.command('build'))
    .description('compile policy sources into a bundle; the same sources give the same bytes')
    .argument('<directory...>', 'directories with *.rego, data files, tools.yaml, cases.json')
    .option('-o, --output <file>', 'where the bundle goes', 'build/bundle.tar.gz')
    .option('-e, --entrypoint <path...>', 'rules to compile', [...DEFAULT_ENTRYPOINTS])
    .option('--revision <text>', 'revision of the manifest (default: the hash of the content)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe policy library (package egret) joins unless a source has its own. Needs opa on PATH or in .tools/bin.\n' +
        `A signature by ES or PS is new each time, so only what is inside repeats.\nExit codes: 0 built, ${UNUSABLE_HELP}`,
    )
    .action((directories: string[], options: BuildVerbOptions) =>
      runVerb('bundle build', () => build(directories, options)),
    );
}

async function build(directories: readonly string[], options: BuildVerbOptions): Promise<number> {
  const signing = signingFrom(options);
  const { entrypoint: entrypoints = DEFAULT_ENTRYPOINTS, revision, output } = options;
  const progress = progressOf('compiling');
  const sources = await withLibrary(directories);
  const named = revision === undefined ? {} : { revision };
  const built = await buildBundle({ sources, entrypoints, opa: opaProgram(), ...named }).finally(
    progress.end,
  );
  const archive = signing === null ? built : await signedArchive(readArchive(built), signing);
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, archive);
  return tell(output, await readBundle(output), options.json);
}

async function signedArchive(
  files: ReadonlyMap<string, Uint8Array>,
  signing: SignOptions,
): Promise<Uint8Array> {
  const entries = [...files].filter(([path]) => path !== SIGNATURES_FILE);
  return writeArchive([...entries, [SIGNATURES_FILE, await signatureOver(files, signing)]]);
}

function tell(output: string, { content, archive }: NamedBundle, json?: true): number {
  const { digest, revision, signature } = inspectBundle(content);
  const bytes = archive?.length ?? 0;
  if (json) {
    sayJson({ file: output, bytes, digest, revision });
    return 0;
  }
  const key = signature?.key_id ?? null;
  const signed = signature === null ? 'not signed' : `signed${key === null ? '' : ` by ${key}`}`;
  say(`${output}: ${bytes} bytes, ${signed}\nrevision ${revision}\ndigest   ${digest}`);
  return 0;
}

function addSign(bundle: Command): void {
  withSigningOptions(bundle.command('sign'))
    .description("sign a bundle in OPA's form; an older signature is replaced")
    .argument('<bundle>', NAMED)
    .option('-o, --output <file>', 'where the signed bundle goes (default: over the archive)')
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExit codes: 0 signed, ${UNUSABLE_HELP}`)
    .action((path: string, options: SigningOptions & { output?: string; json?: true }) =>
      runVerb('bundle sign', async () => {
        const signing = signingFrom(options);
        if (signing === null) throw new KitError('found no key, expected --signing-key');
        const { content } = await readBundle(path);
        const output = options.output ?? path;
        if (!output.endsWith('.tar.gz')) throw new KitError(`${path}: expected --output with it`);
        writeFileSync(output, await signedArchive(content.files, signing));
        return tell(output, await readBundle(output), options.json);
      }),
    );
}

interface VerifyVerbOptions extends VerifyingOptions {
  readonly ignoreSignature?: true;
  readonly inputs: string;
  readonly json?: true;
}

function addVerify(bundle: Command): void {
  withVerifyingOptions(bundle.command('verify'))
    .description('signature, activation gate, embedded cases and a second opinion')
    .argument('<bundle>', NAMED)
    .option('--ignore-signature', 'say nothing about the signature')
    .option('--inputs <count>', 'inputs made up for the second opinion', String(GENERATED_DEFAULT))
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nEvery case of cases.json, every entrypoint on an empty input and the inputs made up are evaluated by each engine;\n' +
        `a difference refuses the bundle and shows the input.\nExit codes: 0 good, 1 refused, ${UNUSABLE_HELP}`,
    )
    .action((path: string, options: VerifyVerbOptions) =>
      runVerb('bundle verify', () => verify(path, options)),
    );
}

async function verify(path: string, options: VerifyVerbOptions): Promise<number> {
  const { content } = await readBundle(path);
  const progress = progressOf('asking every engine');
  const report = await verifyBundle(content, {
    verification: verificationFrom(options),
    ignoreSignature: options.ignoreSignature === true,
    nowMs: Date.now(),
    generated: numberIn('--inputs', options.inputs, 0, 1_000_000),
    validateCatalogue: builtInCatalogue().validate,
    secondOpinions: SECOND_OPINIONS,
    onAsked: progress.step,
  }).finally(progress.end);
  if (options.json) sayJson(report);
  else say(renderVerification(path, report));
  return report.ok ? 0 : REFUSED;
}

function addInspect(bundle: Command): void {
  bundle
    .command('inspect')
    .description('revision, roots, entrypoints, builtins, rules, sizes and signature')
    .argument('<bundle>', NAMED)
    .option('--json', 'print JSON')
    .addHelpText('after', `\nChecks nothing; see verify.\nExit codes: 0 shown, ${UNUSABLE_HELP}`)
    .action((path: string, { json }: { json?: true }) =>
      runVerb('bundle inspect', async () => {
        const { content, archive } = await readBundle(path);
        const inspection = { ...inspectBundle(content), bytes: archive?.length ?? null };
        if (json) sayJson(inspection);
        else say(renderInspection(path, inspection));
        return 0;
      }),
    );
}

interface ConfigMapVerbOptions {
  readonly name: string;
  readonly set?: string;
  readonly namespace?: string;
  readonly output?: string;
  readonly chunkBytes: string;
  readonly immutable?: true;
}

function addConfigMap(bundle: Command): void {
  bundle
    .command('configmap')
    .description('the bundle as ConfigMaps that kubectl can apply, in pieces where it is large')
    .argument('<bundle>', NAMED)
    .requiredOption('--name <name>', 'name of the ConfigMap; pieces get -0, -1 …')
    .option('--set <name>', 'policy set in the label egret.dev/bundle (default: the name)')
    .option('-n, --namespace <name>', 'namespace (default: that of whoever applies)')
    .option('-o, --output <file>', 'where the YAML goes (default: standard output)')
    .option(
      '--chunk-bytes <count>',
      `bytes of one piece, at most ${CHUNK_BYTES_MAX}; above 180000 apply with --server-side`,
      String(CHUNK_BYTES_DEFAULT),
    )
    .option('--immutable', 'ConfigMaps that cannot be changed')
    .addHelpText('after', `\nExit codes: 0 written, ${UNUSABLE_HELP}`)
    .action((path: string, options: ConfigMapVerbOptions) =>
      runVerb('bundle configmap', () => configMap(path, options)),
    );
}

/** As a configuration names its bundle. */
const SET_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** A DNS subdomain with room for the number of a piece. */
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]{0,238}[a-z0-9])?$/;

async function configMap(path: string, options: ConfigMapVerbOptions): Promise<number> {
  const { name, set, namespace = null, output, immutable = false } = options;
  if (!OBJECT_NAME.test(name)) {
    throw new KitError(`--name: found ${name}, expected a DNS subdomain of at most 240 characters`);
  }
  if (set !== undefined && !SET_NAME.test(set)) {
    throw new KitError(`--set: found ${set}, expected a DNS label of at most 63 characters`);
  }
  const { content, archive } = await readBundle(path);
  const yaml = renderConfigMaps(archive ?? writeArchive([...content.files]), {
    name,
    ...(set === undefined ? {} : { set }),
    namespace,
    immutable,
    revision: inspectBundle(content).revision,
    chunkBytes: numberIn('--chunk-bytes', options.chunkBytes, 1000, CHUNK_BYTES_MAX),
  });
  if (output === undefined) {
    process.stdout.write(yaml);
    return 0;
  }
  writeFileSync(output, yaml);
  const signed = content.files.has(SIGNATURES_FILE) ? 'signed' : 'not signed';
  const pieces = yaml.split(/^kind: ConfigMap$/m).length - 1;
  say(`${output}: ${name}, ${pieces} ConfigMap${pieces === 1 ? '' : 's'}, ${signed}`);
  return 0;
}

function numberIn(name: string, text: string, min: number, max: number): number {
  const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new KitError(`${name}: found ${text}, expected a whole number from ${min} to ${max}`);
}
