/**
 * The roots that certificates of upstream servers need, and that the agent is told to trust besides ours: the same set
 * for both, so an agent can reach nothing by going out that it could not verify before. Shell: reads files.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';

/** A file of trusted roots cannot be used; the message names it and says what was expected. */
export class RootsError extends Error {
  override readonly name = 'RootsError';
}

const FILE_BYTES_MAX = 8 * 1024 * 1024;
const CERTIFICATES_MAX = 4096;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * The roots of the machine; those that come with Node where the machine has none, as in an image without files.
 * @param file PEM to use instead of both.
 * @throws RootsError when the file cannot be read, holds no certificate or one that is not one.
 */
export function loadRoots(file: string | undefined): readonly string[] {
  if (file !== undefined) return readRoots(file);
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('bundled');
}

/**
 * The certificates of a PEM file, one text each; whatever stands between them is ignored.
 * @throws RootsError as `loadRoots`.
 */
export function readRoots(file: string): readonly string[] {
  const bytes = read(file);
  if (bytes.length > FILE_BYTES_MAX) throw new RootsError(`${file}: larger than 8 MiB`);
  const found = bytes.toString('latin1').match(PEM_CERTIFICATE) ?? [];
  if (found.length === 0 || found.length > CERTIFICATES_MAX) {
    throw new RootsError(
      `${file}: found ${found.length} certificates, expected PEM with 1 to ${CERTIFICATES_MAX}`,
    );
  }
  return found.map((pem, at) => {
    try {
      return new X509Certificate(pem).toString();
    } catch (error) {
      throw new RootsError(`${file}: certificate ${at + 1} cannot be read`, { cause: error });
    }
  });
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new RootsError(`${file}: cannot be read (${code})`, { cause: error });
  }
}
