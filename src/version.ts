/** The version of this build; a test compares it with package.json. Pure. */
export const VERSION = '0.1.0';
