/** The seam between a native node and the parts of a swarm that command it. */
import type { NativeNode } from './addon.ts'
import type { CommandHandle } from './engine.ts'
import type { RequestId } from './handles.ts'

/** One native node, as a part sees it that needs no more than its methods `Methods`. */
export interface Commands<Methods extends keyof NativeNode> {
  /** Throws `StateError` where it was not started. */
  readonly node: Pick<NativeNode, Methods>
  /** Begin a command; errors get the stack of `from`'s caller, if given. */
  command(
    begin: (node: Pick<NativeNode, Methods>, request: RequestId) => void,
    from?: (...args: never[]) => unknown
  ): CommandHandle
}
