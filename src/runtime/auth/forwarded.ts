import { type Caste, type Principal, ROLES } from '../../contract/index.ts';

/** The header in which the gateway says for whom it passes a request on. Believed from a gateway's token alone. */
export const PRINCIPAL_HEADER = 'x-tandem-principal';

/** Longest subject, in characters. */
export const SUBJECT_CHARACTERS_MAX = 256;

/** Writes a principal as the header has it: `reader,operator key%3A1`. */
export function writePrincipal({ subject, roles }: Principal): string {
  return `${roles.join(',')} ${encodeURIComponent(subject)}`;
}

/** Reads it; `undefined` when it is not one of a person or an application. */
export function readPrincipal(text: string): Principal | undefined {
  const [names = '', subject = '', ...rest] = text.split(' ');
  const roles = names.split(',');
  if (rest.length > 0 || subject === '' || !roles.every(isRole)) return undefined;
  try {
    return { subject: decodeURIComponent(subject), roles };
  } catch {
    return undefined;
  }
}

function isRole(name: string): name is Extract<Caste, (typeof ROLES)[number]> {
  return ROLES.some((role) => role === name);
}
