/**
 * Numbers that the native side knows its objects by, branded so that none passes for another. They are made where one
 * comes up: from the words of a record, and from the answer of the call that made the object.
 */

declare const brand: unique symbol

type Branded<Name extends string> = number & { readonly [brand]: Name }

/** A connection, until the record of its end. */
export type ConnectionHandle = Branded<'connection'>

/** A stream, until the record of its end. */
export type StreamHandle = Branded<'stream'>

/** A command under way. */
export type RequestId = Branded<'request'>

/** A bound listener. */
export type ListenerId = Branded<'listener'>
