/**
 * A mail as its sender writes it down: composed by nodemailer into an RFC 5322 message and wrapped the way Gmail's REST
 * API takes it, base64url under `raw`. Bcc stays in the message, because Gmail reads all recipients from it.
 * Shell: owns nothing; message ids, boundaries and dates differ from call to call.
 */
import MailComposer from 'nodemailer/lib/mail-composer';

export interface MailFile {
  readonly filename: string;
  readonly mimeType: string;
  /** Base64. */
  readonly content: string;
}

/** The arguments of the tool `send_email`. */
export interface Mail {
  readonly to: string;
  readonly cc?: string | undefined;
  readonly bcc?: string | undefined;
  readonly subject: string;
  readonly body: string;
  readonly attachments?: readonly MailFile[] | undefined;
}

/** @returns the message in base64url without padding. */
export async function composeRaw(mail: Mail): Promise<string> {
  const { to, cc, bcc, subject, body, attachments = [] } = mail;
  const node = new MailComposer({
    from: 'bookkeeping-bot@example.com',
    to,
    cc,
    bcc,
    subject,
    text: body,
    attachments: attachments.map(({ filename, mimeType, content }) => ({
      filename,
      contentType: mimeType,
      content: Buffer.from(content, 'base64'),
    })),
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  node.keepBcc = true;
  const message = await node.build();
  return message.toString('base64url');
}
