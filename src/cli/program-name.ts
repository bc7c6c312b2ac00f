/** What people type to start this program. Shell: reads the name it was started by. */
import { basename } from 'node:path';

/** As a plugin of kubectl it is found under another name. */
export const programName = (): string =>
  basename(process.argv[1] ?? '') === 'kubectl-egret' ? 'kubectl egret' : 'egret';
