/** The interface between a native node and the parts of a swarm that issue commands to it. */
import type { NativeNode } from './addon.ts'
import type { CommandHandle } from './engine.ts'
import type { RequestId } from './handles.ts'

/** A native node, restricted to `Methods`. */
export interface Commands<Methods extends keyof NativeNode> {
  /** Throws `StateError` if the node was not started. */
  readonly node: Pick<NativeNode, Methods>
  /** Issues a command; errors get the stack of `from`'s caller, if given. */
  command(
    begin: (node: Pick<NativeNode, Methods>, request: RequestId) => void,
    from?: (...args: never[]) => unknown
  ): CommandHandle
}
