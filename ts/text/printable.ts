/** Text of remotes, such as names of protocols, and of what was thrown, in messages. */

/** Escapes control characters, which would break a line of a log or command a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
}

/** Returns the message of an error, or the text of whatever else was thrown. */
export function reasonOf(err: unknown): string {
  try {
    return err instanceof Error ? err.message : String(err)
  } catch {
    // An object without a prototype, or one that refuses the conversion.
    return `a value of type ${typeof err}`
  }
}
