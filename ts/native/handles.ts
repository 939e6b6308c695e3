/**
 * Ids of native objects, branded so that they cannot be confused. Branding happens only at their source: the words of a
 * record, or the result of the call that created the object.
 */

declare const brand: unique symbol

type Branded<Name extends string> = number & { readonly [brand]: Name }

/** A connection; valid until the record of its end. */
export type ConnectionHandle = Branded<'connection'>

/** A stream; valid until the record of its end. */
export type StreamHandle = Branded<'stream'>

/** A pipe of a connection whose bytes are carried here; valid until it is dropped. */
export type PipeHandle = Branded<'pipe'>

/** A command in flight. */
export type RequestId = Branded<'request'>

/** A bound listener. */
export type ListenerId = Branded<'listener'>
