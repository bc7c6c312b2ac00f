/**
 * `egret init`: a policy repository to begin with. Exit codes: 0 written, 2 wrong use or something in the way.
 * Shell: writes files.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { readArchive } from '../bundle/archive.ts';
import { buildBundle } from '../bundle/build.ts';
import { CHUNK_BYTES_DEFAULT, renderConfigMaps } from '../bundle/configmap.ts';
import { MANIFEST_FILE, parseManifest } from '../bundle/manifest.ts';
import { findProgram } from '../bundle/opa-program.ts';
import { withLibrary } from '../bundle/repository.ts';
import { writeTemplate } from '../bundle/template.ts';
import { runVerb, say, sayJson } from './kit-verb.ts';

const CONFIG_MAP = 'deploy/policy.yaml';
const CONFIG_MAP_NAME = 'egret-policy';

export function initCommand(): Command {
  return new Command('init')
    .description('write a policy repository: policies, tests, scenarios, catalogue, CI, GitOps')
    .argument('<directory>', 'new or empty directory')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nWith opa on PATH or in .tools/bin the ConfigMap ${CONFIG_MAP} is made, too.\n` +
        'Exit codes: 0 written, 2 wrong use, or the directory is not empty.',
    )
    .action((directory: string, { json }: { json?: true }) =>
      runVerb('init', async () => {
        const files = [...(await writeTemplate(directory))];
        const built = await writeConfigMap(directory);
        if (built) files.push(CONFIG_MAP);
        if (json) sayJson({ directory, files: files.sort(), configmap: built });
        else tell(directory, files, built);
        return 0;
      }),
    );
}

/** What the overlay names must be there from the beginning. @returns false when there is no compiler. */
async function writeConfigMap(directory: string): Promise<boolean> {
  const opa = findProgram('opa');
  if (opa === null) return false;
  const archive = await buildBundle({ sources: await withLibrary([directory]), opa });
  const { revision } = parseManifest(readArchive(archive).get(MANIFEST_FILE));
  const yaml = renderConfigMaps(archive, {
    name: CONFIG_MAP_NAME,
    namespace: null,
    revision,
    chunkBytes: CHUNK_BYTES_DEFAULT,
    immutable: false,
  });
  writeFileSync(join(directory, CONFIG_MAP), yaml);
  return true;
}

function tell(directory: string, files: readonly string[], built: boolean): void {
  for (const file of files) say(join(directory, file));
  if (!built) {
    process.stderr.write(
      `SKIPPED LOUDLY: found no opa, so ${CONFIG_MAP} is not made; see README.md in ${directory}\n`,
    );
  }
  say(`Next: cd ${directory} && egret check . && egret test .`);
}
