/**
 * What tests run as `egret`: the sources, or the program that EGRET_TEST_PROGRAM names, such as the one file that
 * `make test` builds. Pure.
 */
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..');
export const PROGRAM = process.env['EGRET_TEST_PROGRAM'] ?? join(ROOT, 'src/main.ts');
