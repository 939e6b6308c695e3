/** Text of remotes, such as names of protocols, in messages. */

/** Escapes control characters, which would break a line of a log or command a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
}
